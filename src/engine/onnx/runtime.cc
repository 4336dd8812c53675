#include "engine/onnx/runtime.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <mutex>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/own_folder.h"
#include "base/system/shared_library.h"
#include "engine/onnx/ort.h"

namespace rerank::engine::onnx {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> places() {
  return {(own_folder() / "../lib/rerankd/libonnxruntime.so").lexically_normal().string(), RERANKD_ONNXRUNTIME_LIBRARY,
          "libonnxruntime.so.1", "libonnxruntime.so.1.21", "libonnxruntime.so"};
}

Result<SharedLibrary> open_first(std::string& path) {
  if (!path.empty()) {
    auto library = SharedLibrary::open(path);
    if (library.ok()) return library;
    std::error_code error;
    if (path.find('/') != std::string::npos && !fs::exists(path, error))
      return absl::NotFoundError(str_cat("--onnxruntime-library ", path, ": no such file"));
    return with_context(library.status(), str_cat("--onnxruntime-library ", path, ": cannot be loaded"));
  }
  std::string looked;
  for (const std::string& place : places()) {
    if (place.empty()) continue;
    if (auto library = SharedLibrary::open(place); library.ok()) {
      path = place;
      return library;
    }
    looked += str_cat(looked.empty() ? "" : ", ", place);
  }
  return absl::NotFoundError(str_cat("ONNX Runtime is not there (looked for ", looked,
                                     "): run tools/setup.sh, or name libonnxruntime.so with --onnxruntime-library"));
}

Result<Runtime> load(std::string path) {
  ASSIGN_OR_RETURN(auto library, open_first(path));
  const auto get_base = library.find<const OrtApiBase*()>("OrtGetApiBase");
  if (get_base == nullptr || get_base() == nullptr)
    return absl::InvalidArgumentError(str_cat(path, ": a library, but not ONNX Runtime (it has no OrtGetApiBase)"));
  const OrtApiBase* base = get_base();
  Runtime runtime;
  runtime.version = base->GetVersionString();
  runtime.path = path;
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return absl::UnimplementedError(
        str_cat(path, ": ONNX Runtime ", runtime.version, " is too old: 1.", ORT_API_VERSION, " or later is needed"));
  }
  library.keep();  // it has threads of its own
  Ort::InitApi(api);
  try {
    runtime.providers = Ort::GetAvailableProviders();
  } catch (const Ort::Exception& error) {
    return absl::InternalError(str_cat(path, ": ", error.what()));
  }
  return runtime;
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
