#include "engine/onnx/runtime.h"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <mutex>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/own_folder.h"
#include "engine/onnx/ort.h"

namespace rerank::engine::onnx {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> places() {
  return {(own_folder() / "../lib/rerankd/libonnxruntime.so").lexically_normal().string(), RERANKD_ONNXRUNTIME_LIBRARY,
          "libonnxruntime.so.1", "libonnxruntime.so.1.21", "libonnxruntime.so"};
}

std::string dl_error() {
  const char* text = ::dlerror();
  return text == nullptr ? "unknown error" : text;
}

Result<void*> open_first(std::string& path) {
  if (!path.empty()) {
    if (void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    const std::string why = dl_error();
    std::error_code error;
    if (path.find('/') != std::string::npos && !fs::exists(path, error))
      return absl::NotFoundError(str_cat("--onnxruntime-library ", path, ": no such file"));
    return absl::InvalidArgumentError(str_cat("--onnxruntime-library ", path, ": cannot be loaded: ", why));
  }
  std::string looked;
  for (const std::string& place : places()) {
    if (place.empty()) continue;
    if (void* handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      path = place;
      return handle;
    }
    looked += str_cat(looked.empty() ? "" : ", ", place);
  }
  return absl::NotFoundError(str_cat("ONNX Runtime is not there (looked for ", looked,
                                     "): run tools/setup.sh, or name libonnxruntime.so with --onnxruntime-library"));
}

Result<Runtime> load(std::string path) {
  ASSIGN_OR_RETURN(auto handle, open_first(path));
  using GetApiBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetApiBase>(::dlsym(handle, "OrtGetApiBase"));
  if (get_base == nullptr || get_base() == nullptr) {
    ::dlclose(handle);
    return absl::InvalidArgumentError(str_cat(path, ": a library, but not ONNX Runtime (it has no OrtGetApiBase)"));
  }
  const OrtApiBase* base = get_base();
  Runtime runtime;
  runtime.version = base->GetVersionString();
  runtime.path = path;
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    ::dlclose(handle);
    return absl::UnimplementedError(
        str_cat(path, ": ONNX Runtime ", runtime.version, " is too old: 1.", ORT_API_VERSION, " or later is needed"));
  }
  Ort::InitApi(api);
  try {
    runtime.providers = Ort::GetAvailableProviders();
  } catch (const Ort::Exception& error) {
    return absl::InternalError(str_cat(path, ": ", error.what()));
  }
  return runtime;  // the library stays loaded for the life of the process: it has threads of its own
}

}  // namespace

std::string provider_name(std::string_view full_name) {
  std::string name(full_name.substr(0, full_name.find("ExecutionProvider")));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

Result<const Runtime*> load_runtime(const std::string& library) {
  static std::mutex mutex;
  static const Runtime* loaded = nullptr;
  const std::lock_guard lock(mutex);
  if (loaded == nullptr) {
    ASSIGN_OR_RETURN(auto runtime, load(library));
    loaded = new Runtime(std::move(runtime));
  }
  std::error_code error;
  if (!library.empty() && library != loaded->path && !fs::equivalent(library, loaded->path, error)) {
    return absl::InvalidArgumentError(
        str_cat("--onnxruntime-library ", library, ": this process uses ", loaded->path, " already"));
  }
  return loaded;
}

}  // namespace rerank::engine::onnx
