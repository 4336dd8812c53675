#include "engine/cuda/host/library.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <list>
#include <mutex>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/own_folder.h"
#include "base/system/python_packages.h"
#include "base/system/shared_library.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "librerank_cuda.so";
constexpr std::string_view kCublas = "libcublasLt.so.";

// "libcublasLt.so.13" of the loader's "libcublasLt.so.13: cannot open shared object file ..."; empty: of another one.
std::string missing_cublas(std::string_view error) {
  if (!error.starts_with(kCublas)) return "";
  return std::string(error.substr(0, error.find(':')));
}

std::string join(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += str_cat(all.empty() ? "" : ", ", name);
  return all;
}

// Never closed: the driver has threads of its own.
Result<SharedLibrary> open_for_good(const std::string& path) {
  auto library = SharedLibrary::open(path);
  if (library.ok()) library->keep();
  return library;
}

// Once it is loaded, a library that needs one of its name takes it.
bool load_from(const std::vector<std::string>& folders, const std::string& file) {
  return std::ranges::any_of(folders, [&](const std::string& folder) {
    std::error_code error;
    const fs::path path = fs::path(folder) / file;
    return fs::exists(path, error) && open_for_good(path.string()).ok();
  });
}

Result<SharedLibrary> open(const std::string& path, const std::vector<std::string>& cublas_folders) {
  auto library = open_for_good(path);
  if (library.ok()) return library;
  const std::string cublas = missing_cublas(message_of(library.status()));
  if (cublas.empty()) return absl::UnimplementedError(str_cat(path, ": ", message_of(library.status())));
  if (load_from(cublas_folders, cublas)) library = open_for_good(path);
  if (library.ok()) return library;
  const std::string major = cublas.substr(kCublas.size());
  return absl::UnimplementedError(str_cat(
      path, " needs NVIDIA's ", cublas, ", which was not found on the loader's path nor in ", join(cublas_folders),
      ": install the CUDA toolkit ", major, " or PyPI's nvidia-cublas, or name its folder in LD_LIBRARY_PATH"));
}

// Size and version lie at the same place in every version.
Status check_version(const std::string& place, const cuda::Plugin& plugin) {
  if (plugin.major != cuda::kPluginMajor)
    return absl::UnimplementedError(str_cat(place, ": is ", plugin.major < cuda::kPluginMajor ? "older" : "newer",
                                            " than this program (version ", plugin.major, ".", plugin.minor,
                                            " of what they say to each other, not ", cuda::kPluginMajor, ".",
                                            cuda::kPluginMinor, "): take the one that came with this program"));
  if (plugin.struct_size < cuda::kFirstPluginBytes)
    return absl::UnimplementedError(str_cat(place, ": says that it has ", plugin.struct_size,
                                            " bytes of functions, where ", cuda::kFirstPluginBytes,
                                            " are the least: it is damaged"));
  return ok_status();
}

// Functions that a library of an earlier minor version does not have are null.
const cuda::Plugin* known_part(const cuda::Plugin& plugin) {
  if (plugin.struct_size >= sizeof(cuda::Plugin)) return &plugin;
  static std::mutex mutex;
  static std::list<cuda::Plugin> parts;  // in use as long as the process
  const std::lock_guard lock(mutex);
  std::memset(static_cast<void*>(&parts.emplace_back()), 0, sizeof(cuda::Plugin));
  std::memcpy(static_cast<void*>(&parts.back()), &plugin, plugin.struct_size);
  return &parts.back();
}

}  // namespace

CudaPlaces cuda_places() {
  const fs::path own = own_folder();
  CudaPlaces places;
  for (const char* folder : {".", "../lib/rerankd"})
    places.libraries.push_back((own / folder / kLibrary).lexically_normal().string());
  if (!std::string_view(RERANKD_CUDA_LIBRARY).empty()) places.libraries.push_back(RERANKD_CUDA_LIBRARY);

  places.cublas_folders = {"/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib"};
  // <environment>/bin/rerankd, and <environment>/lib/python3.x/site-packages/<package>/[<folder>/]rerankd.
  std::vector<fs::path> packages = python_packages(own / "..");
  packages.insert(packages.begin(), {own / "..", own / "../.."});
  std::error_code error;
  for (const fs::path& folder : packages) {
    const fs::path wheel = (folder / "nvidia/cu13/lib").lexically_normal();
    if (fs::exists(wheel, error)) places.cublas_folders.push_back(wheel.string());
  }
  return places;
}

Result<const cuda::Plugin*> load_cuda_library(const CudaPlaces& places) {
  for (const std::string& place : places.libraries) {
    std::error_code error;
    if (!fs::exists(place, error)) continue;
    ASSIGN_OR_RETURN(const SharedLibrary library, open(place, places.cublas_folders));
    const auto get = library.find<const cuda::Plugin*()>("rerank_cuda_plugin");
    const cuda::Plugin* plugin = get == nullptr ? nullptr : get();
    if (plugin == nullptr) return absl::UnimplementedError(str_cat(place, ": is not rerankd's library"));
    RETURN_IF_ERROR(check_version(place, *plugin));
    return known_part(*plugin);
  }
  return absl::UnimplementedError(str_cat(kLibrary, " is not there (looked for ", join(places.libraries),
                                          "): build where CUDA's nvcc is, or install it next to the program"));
}

// A failure is remembered too, for a machine does not grow a driver while it runs.
const Result<const cuda::Plugin*>& cuda_library() {
  static const Result<const cuda::Plugin*> loaded = load_cuda_library(cuda_places());
  return loaded;
}

std::string about_cuda_library(const cuda::Plugin& plugin) {
  char text[1024] = "", error[512] = "";
  return plugin.about(text, sizeof text, error, sizeof error) == cuda::Code::kOk ? text : error;
}

}  // namespace rerank::engine
