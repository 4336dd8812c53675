#include "base/system/shared_library.h"

#include <dlfcn.h>

namespace rerank {

SharedLibrary::~SharedLibrary() {
  if (handle_ != nullptr && !kept_) ::dlclose(handle_);
}

Result<SharedLibrary> SharedLibrary::open(const std::string& path) {
  SharedLibrary library;
  library.handle_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library.handle_ != nullptr) return library;
  const char* why = ::dlerror();
  return absl::InvalidArgumentError(why == nullptr ? "unknown error" : why);
}

void* SharedLibrary::symbol(const char* name) const { return handle_ == nullptr ? nullptr : ::dlsym(handle_, name); }

}  // namespace rerank
