#include "rank/locate.h"

#include <filesystem>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/own_folder.h"
#include "model/hub.h"

namespace rerank::rank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBuiltIn = "rerankd-mini-en";

// Next to the program or the library when it is installed, in the source tree when it is not.
Result<std::string> built_in_folder() {
  std::error_code error;
  const fs::path own = own_folder();
  for (const fs::path& models :
       {own / "../share/rerankd/models", own / "../../models", fs::path(RERANKD_SOURCE_MODELS)}) {
    const fs::path folder = models / kBuiltIn;
    if (!models.empty() && fs::exists(folder / "config.json", error))
      return fs::weakly_canonical(folder, error).string();
  }
  return absl::NotFoundError(
      str_cat("the built-in model ", kBuiltIn, " is not next to this program; name a model with --model"));
}

bool looks_like_path(const std::string& model) {
  return model.starts_with("/") || model.starts_with("./") || model.starts_with("../") || model.starts_with("~");
}

// What the engine reads besides configuration and tokenizer.
model::HubFiles files_for(const EngineOptions& engine) {
  std::error_code error;
  const bool graph_here = fs::is_regular_file(engine.onnx_file, error);
  if (engine.engine == EngineKind::kOnnx) return graph_here ? model::HubFiles::kNeither : model::HubFiles::kGraph;
  return engine.engine == EngineKind::kAuto && !graph_here ? model::HubFiles::kWeightsOrGraph
                                                           : model::HubFiles::kWeights;
}

}  // namespace

std::string served_name(const std::string& model) {
  std::string path = model;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.ends_with(".gguf")) path.resize(path.size() - 5);
  std::error_code error;
  std::string name = fs::path(path).filename().string();
  if (name.empty() || name == "." || name == "..") name = fs::weakly_canonical(path, error).filename().string();
  // A snapshot in the hub's cache, models--ORG--NAME/snapshots/COMMIT, is called as its repository.
  const fs::path parent = fs::path(path).parent_path();
  if (const std::string repository = parent.parent_path().filename().string();
      parent.filename() == "snapshots" && repository.starts_with("models--"))
    name = repository.substr(repository.rfind("--") + 2);
  return name.find("rerank") == std::string::npos ? name + "-reranker" : name;
}

std::string name_of(const SourceOptions& source) {
  if (!source.served_model_name.empty()) return source.served_model_name;
  return source.model.empty() ? kBuiltIn : served_name(source.model);
}

Result<LocatedModel> locate_model(const Options& options) {
  const SourceOptions& source = options.model.source;
  const EngineOptions& engine = options.model.engine;
  LocatedModel located;
  std::error_code error;
  if (source.model.empty()) {
    ASSIGN_OR_RETURN(auto folder, built_in_folder());
    located = {folder, kBuiltIn};
  } else if (fs::is_directory(source.model, error) ||
             (source.model.ends_with(".gguf") && fs::is_regular_file(source.model, error))) {
    located = {source.model, served_name(source.model)};
  } else if (looks_like_path(source.model) || !model::is_hub_id(model::split_hub_name(source.model).id)) {
    return absl::NotFoundError(str_cat("--model ", source.model, ": no such folder, nor a .gguf file"));
  } else {
    const model::HubName name = model::split_hub_name(source.model);
    const model::HubOptions hub = {.endpoint = source.hub_endpoint,
                                   .token = source.hub_token,
                                   .cache = source.hub_cache,
                                   .offline = source.hub_offline,
                                   .progress = source.download_progress,
                                   .files = files_for(engine),
                                   .onnx_file = engine.onnx_file,
                                   .precision = engine.precision,
                                   .gguf = name.gguf};
    ASSIGN_OR_RETURN(located.folder, model::fetch_from_hub(name.id, source.revision, hub));
    located.name = served_name(name.id);
  }
  if (!source.served_model_name.empty()) located.name = source.served_model_name;
  return located;
}

}  // namespace rerank::rank
