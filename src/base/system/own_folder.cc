#include "base/system/own_folder.h"

#include <dlfcn.h>
#include <link.h>

namespace rerank {

namespace fs = std::filesystem;

fs::path own_folder() {
  std::error_code error;
  Dl_info info;
  void* entry = nullptr;
  if (::dladdr1(reinterpret_cast<const void*>(&own_folder), &info, &entry, RTLD_DL_LINKMAP) != 0 && entry != nullptr) {
    // The program itself has no name there.
    const std::string_view name = static_cast<const link_map*>(entry)->l_name;
    if (!name.empty()) return fs::absolute(name, error).parent_path();
  }
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace rerank
