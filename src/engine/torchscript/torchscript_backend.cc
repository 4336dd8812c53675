#include "engine/torchscript/torchscript_backend.h"

#include <array>
#include <filesystem>
#include <vector>

#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/own_folder.h"
#include "base/system/shared_library.h"
#include "base/team.h"
#include "engine/padded/padding.h"
#include "engine/torchscript/plugin.h"
#include "model/graphs.h"

namespace rerank::engine {
namespace torchscript {
namespace {

namespace fs = std::filesystem;

constexpr char kPlugin[] = "librerankd_torchscript.so";

// Beside the program, where it is installed, or where it was built.
std::string find_plugin() {
  std::error_code error;
  const fs::path own = own_folder();
  for (const fs::path& place :
       {own / kPlugin, own / "../lib/rerankd" / kPlugin, fs::path(RERANKD_TORCHSCRIPT_PLUGIN)}) {
    if (!place.empty() && fs::exists(place, error)) return place.lexically_normal().string();
  }
  return "";
}

Status no_plugin() {
  return absl::UnimplementedError(str_cat(
      "torchscript engine: this program was built without it, for libtorch was not there: make .venv-train with "
      "requirements/train.txt (torch), or name a libtorch with CMAKE_PREFIX_PATH, and build again; ",
      kPlugin, " may also be copied beside the program"));
}

// Loaded once, and never unloaded: libtorch has threads of its own.
Result<const RerankdTorchApi*> load_plugin() {
  static const Result<const RerankdTorchApi*> loaded = []() -> Result<const RerankdTorchApi*> {
    const std::string path = find_plugin();
    if (path.empty()) return no_plugin();
    auto library = SharedLibrary::open(path);
    if (!library.ok()) {
      return absl::NotFoundError(str_cat("torchscript engine: ", path,
                                         ": cannot be loaded: ", message_of(library.status()),
                                         " (is libtorch where it was when rerankd was built?)"));
    }
    library->keep();
    const auto get_api = library->find<const RerankdTorchApi*()>("rerankd_torch_api");
    if (get_api == nullptr) return absl::InvalidArgumentError(str_cat(path, ": is not rerankd's plugin"));
    const RerankdTorchApi* api = get_api();
    if (api->interface_version != kRerankdTorchInterface) {
      return absl::InvalidArgumentError(
          str_cat(path,
                  ": is the plugin of another version of rerankd: build both together, or "
                  "remove it"));
    }
    return api;
  }();
  return loaded;
}

// A TorchScript file is a zip file.
Status check_file(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  if (!file->text().starts_with("PK"))
    return absl::InvalidArgumentError(path + ": not a TorchScript file (torch.jit.save)");
  return ok_status();
}

Result<std::string> pick_file(const model::Model& model, const BackendOptions& options) {
  if (options.exits != nullptr)
    return absl::UnimplementedError("torchscript engine: --exits: a graph computes all layers");
  if (options.kernel != KernelTier::kAuto)
    return absl::InvalidArgumentError("torchscript engine: --kernel: libtorch picks its own");
  std::error_code error;
  std::string path;
  if (!options.torchscript_file.empty()) {
    for (const fs::path& place :
         {fs::path(model.folder) / options.torchscript_file, fs::path(options.torchscript_file)}) {
      if (path.empty() && fs::is_regular_file(place, error)) path = place.string();
    }
    if (path.empty()) {
      return absl::NotFoundError(
          str_cat("--torchscript-file ", options.torchscript_file, ": neither in ", model.folder, " nor here"));
    }
  } else if (const auto files = model::torchscript_files(model.folder); !files.empty()) {
    path = files[0];
  } else {
    return absl::NotFoundError(str_cat(model.folder,
                                       ": no TorchScript file is in it (model.pt, *.torchscript); make "
                                       "one with torch.jit.trace, or name one with --torchscript-file"));
  }
  RETURN_IF_ERROR(check_file(path));
  return path;
}

class TorchscriptBackend : public Backend {
 public:
  TorchscriptBackend(std::shared_ptr<const model::Model> model, const RerankdTorchApi& api, RerankdTorchModule* module,
                     const RerankdTorchInfo& module_info, const std::string& path, size_t threads)
      : model_(std::move(model)), api_(api), module_(module), module_info_(module_info) {
    info_ = {.engines = {EngineKind::kTorchscript},
             .precisions = {Precision::kFp32},
             .kernel = str_cat("torch-", api.version),
             .threads = threads,
             .max_length = model_->config.max_length()};
    info_.pads = true;
    info_.depth = false;
    info_.files = {path};
    rule_.max_length = info_.max_length;
    pad_ = {model_->config.pad_id, static_cast<int32_t>(model_->architecture().embedding.position_offset)};
  }
  ~TorchscriptBackend() override { api_.close(module_); }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    RETURN_IF_ERROR(check_batch(model_->architecture(), batch));
    RETURN_IF_ERROR(check_full_depth(model_->architecture(), batch, "torchscript"));
    for (const PaddedBlock& block : share_out_padded(batch, rule_)) {
      RETURN_IF_ERROR(run(batch, block, logits));
    }
    return ok_status();
  }

 private:
  Status run(const Batch& batch, const PaddedBlock& block, std::span<float> logits) {
    std::array<const int64_t*, 4> inputs{};
    constexpr TokenInput kInputs[] = {TokenInput::kIds, TokenInput::kMask, TokenInput::kSegments,
                                      TokenInput::kPositions};
    for (size_t i = 0; i < inputs.size(); ++i) {
      if ((module_info_.inputs >> i & 1) == 0) continue;
      buffers_[i].resize(std::max(buffers_[i].size(), block.tokens()));
      fill_padded(batch, block, kInputs[i], pad_, buffers_[i].data());
      inputs[i] = buffers_[i].data();
    }
    const size_t labels = module_info_.labels;
    output_.resize(std::max(output_.size(), block.rows * labels));
    char error[512] = "";
    if (!api_.run(module_, inputs.data(), static_cast<int64_t>(block.rows), static_cast<int64_t>(block.length),
                  output_.data(), error, sizeof error)) {
      return absl::InternalError(str_cat("torchscript engine: libtorch failed on a batch of ", block.rows, " x ",
                                         block.length, " tokens: ", std::string(error)));
    }
    for (size_t r = 0; r < block.sequences.size(); ++r) {
      const float* row = &output_[r * labels];
      logits[block.sequences[r]] = labels == 1 ? row[0] : row[1] - row[0];
    }
    return ok_status();
  }

  std::shared_ptr<const model::Model> model_;
  const RerankdTorchApi& api_;
  RerankdTorchModule* module_;
  RerankdTorchInfo module_info_;
  PaddingRule rule_;
  PadValues pad_;
  std::array<std::vector<int64_t>, 4> buffers_;
  std::vector<float> output_;
  BackendInfo info_;
};

}  // namespace
}  // namespace torchscript

Result<std::string> describe_torchscript_backend(const model::Model& model, const BackendOptions& options) {
  const std::string plugin = torchscript::find_plugin();
  if (plugin.empty()) return torchscript::no_plugin();
  ASSIGN_OR_RETURN(auto path, torchscript::pick_file(model, options));
  return str_cat("fp32, ", path, ", ", plugin);
}

Result<std::unique_ptr<Backend>> make_torchscript_backend(std::shared_ptr<const model::Model> model,
                                                          const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto path, torchscript::pick_file(*model, options));
  if (options.precision != Precision::kAuto && options.precision != Precision::kFp32)
    return absl::InvalidArgumentError(
        str_cat("torchscript engine: --precision ", word_of(options.precision), ": there is fp32"));
  ASSIGN_OR_RETURN(auto api, torchscript::load_plugin());
  const size_t threads = options.threads != 0 ? options.threads : available_threads();
  RerankdTorchInfo info{};
  char error[512] = "";
  RerankdTorchModule* module = api->open(path.c_str(), static_cast<int>(threads), &info, error, sizeof error);
  if (module == nullptr)
    return absl::InvalidArgumentError(str_cat(path, ": libtorch cannot serve it: ", std::string(error)));
  return std::make_unique<torchscript::TorchscriptBackend>(std::move(model), *api, module, info, path, threads);
}

}  // namespace rerank::engine
