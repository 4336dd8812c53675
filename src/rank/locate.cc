#include "rank/locate.h"

#include <filesystem>

#include "base/strings.h"
#include "model/hub.h"

namespace rerank::rank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuiltIn = "rerankd-mini-en";

// Beside the program when it is installed, in the source tree when it is not.
Result<std::string> built_in_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  for (const fs::path& folder :
       {program.parent_path() / "../share/rerankd/models" / kBuiltIn, program.parent_path() / "../../models" / kBuiltIn,
        fs::path(RERANKD_SOURCE_MODELS) / kBuiltIn}) {
    if (fs::exists(folder / "config.json", error)) return fs::weakly_canonical(folder, error).string();
  }
  return absl::NotFoundError(
      str_cat("the built-in model ", kBuiltIn, " is not beside this program; name a model with --model"));
}

bool looks_like_path(const std::string& model) {
  return model.starts_with("/") || model.starts_with("./") || model.starts_with("../") || model.starts_with("~");
}

// What the engine reads besides configuration and tokenizer.
HubFiles files_for(const Options& options) {
  std::error_code error;
  const bool graph_here = fs::is_regular_file(options.onnx_file, error);
  if (options.engine == "onnx") return graph_here ? HubFiles::kNeither : HubFiles::kGraph;
  return options.engine == "auto" && !graph_here ? HubFiles::kWeightsOrGraph : HubFiles::kWeights;
}

}  // namespace

std::string served_name(const std::string& model) {
  std::string path = model;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::error_code error;
  std::string name = fs::path(path).filename().string();
  if (name.empty() || name == "." || name == "..") name = fs::weakly_canonical(path, error).filename().string();
  return name.find("rerank") == std::string::npos ? name + "-reranker" : name;
}

Result<LocatedModel> locate_model(const Options& options) {
  LocatedModel located;
  std::error_code error;
  if (options.model.empty()) {
    auto folder = built_in_folder();
    if (!folder.ok()) return folder.status();
    located = {*folder, kBuiltIn};
  } else if (fs::is_directory(options.model, error)) {
    located = {options.model, served_name(options.model)};
  } else if (looks_like_path(options.model) || !is_hub_id(options.model)) {
    return absl::NotFoundError(str_cat("--model ", options.model, ": no such folder"));
  } else {
    auto folder = fetch_from_hub(options.model, options.revision,
                                 {options.hub_endpoint, options.hub_token, options.hub_cache, options.hub_offline,
                                  options.download_progress, files_for(options), options.onnx_file, options.precision});
    if (!folder.ok()) return folder.status();
    located = {*folder, served_name(options.model)};
  }
  if (!options.served_model_name.empty()) located.name = options.served_model_name;
  return located;
}

}  // namespace rerank::rank
