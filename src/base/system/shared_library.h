// A library that is loaded at run time, and what it has.
#pragma once

#include <string>
#include <utility>

#include "rerank/status.h"

namespace rerank {

class SharedLibrary {
 public:
  SharedLibrary() = default;  // none
  ~SharedLibrary();
  SharedLibrary(SharedLibrary&& other) noexcept { *this = std::move(other); }
  SharedLibrary& operator=(SharedLibrary&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(kept_, other.kept_);
    return *this;
  }

  // A path, or a name that the loader looks for. Its names are seen by nobody else. InvalidArgument with the loader's
  // own words.
  static Result<SharedLibrary> open(const std::string& path);

  // Null where it has none of this name. `Function`: its type, as int(const char*).
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }

  // Leaves it loaded until the process ends: what has threads of its own cannot be unloaded.
  void keep() { kept_ = true; }

 private:
  void* symbol(const char* name) const;

  void* handle_ = nullptr;
  bool kept_ = false;
};

}  // namespace rerank
