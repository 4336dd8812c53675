#include "engine/onnx/onnx_backend.h"

#include <algorithm>
#include <filesystem>

#include "base/status_macros.h"
#include "base/strings.h"
#include "base/team.h"
#include "engine/onnx/graph_session.h"
#include "model/graphs.h"

namespace rerank::engine {
namespace onnx {
namespace {

namespace fs = std::filesystem;

// Names that exporters give to precisions.
bool says(const std::string& path, Precision precision) {
  const std::string name = fs::path(path).stem().string();
  const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
  const bool quantized = has("quant") || has("int8") || has("_q4") || has("bnb4") || has("avx") || has("arm64");
  const bool half = has("fp16") || has("f16");
  if (precision == Precision::kInt8) return quantized && !half;
  if (precision == Precision::kFp16) return half && !quantized;
  return !quantized && !half;  // auto: what the model is as it was exported
}

Result<std::string> pick_file(const model::Model& model, const BackendOptions& options) {
  std::error_code error;
  if (!options.onnx_file.empty()) {
    for (const fs::path& path : {fs::path(model.folder) / options.onnx_file, fs::path(options.onnx_file)}) {
      if (fs::is_regular_file(path, error)) return path.string();
    }
    return absl::NotFoundError(str_cat("--onnx-file ", options.onnx_file, ": neither in ", model.folder, " nor here"));
  }
  const std::vector<std::string> files = model::onnx_files(model.folder);
  if (files.empty()) {
    return absl::NotFoundError(str_cat(model.folder,
                                       ": no .onnx file is in it or in its onnx/; make one with rerankd "
                                       "convert, or name one with --onnx-file"));
  }
  std::string there;
  for (const std::string& file : files) {
    if (says(file, options.precision)) return file;
    there += str_cat(there.empty() ? "" : ", ", file);
  }
  if (options.precision == Precision::kAuto && files.size() == 1) return files[0];
  for (const std::string& file : files) {  // names that say nothing: what is in them
    if (auto graph = model::read_graph_file(file); graph.ok() && graph->precision == options.precision) return file;
  }
  return absl::NotFoundError(str_cat("onnx engine: no file for precision ", word_of(options.precision), " among ",
                                     there, "; name one with --onnx-file, or make it with rerankd convert"));
}

struct Plan {
  const Runtime* runtime = nullptr;
  SessionSpec session;
  size_t threads = 1;
  std::string kernel;  // "ort-1.31.1-cpu"
};

Result<Plan> plan(const model::Model& model, const BackendOptions& options) {
  if (options.exits != nullptr)
    return absl::UnimplementedError(
        "onnx engine: --exits: a graph computes all layers (see rerankd convert --keep-layers)");
  if (options.kernel != KernelTier::kAuto)
    return absl::InvalidArgumentError("onnx engine: --kernel: ONNX Runtime picks its own; see --onnx-provider");
  ASSIGN_OR_RETURN(auto path, pick_file(model, options));
  auto file = model::read_graph_file(path);
  if (!file.ok()) return file.status();
  if (options.precision != Precision::kAuto && options.precision != file->precision) {
    return absl::InvalidArgumentError(str_cat("onnx engine: --precision ", word_of(options.precision), ": ", path,
                                              " is ", word_of(file->precision), ", and a graph is computed as it is"));
  }
  auto runtime = load_runtime(options.onnxruntime_library);
  if (!runtime.ok()) return runtime.status();
  auto providers = parse_providers(options.onnx_provider, **runtime);
  if (!providers.ok()) return providers.status();
  Plan plan;
  plan.runtime = *runtime;
  plan.threads = options.threads != 0 ? options.threads : available_threads();
  plan.session.file = std::move(*file);
  plan.session.providers = std::move(*providers);
  plan.session.threads = plan.threads;
  plan.session.pad = {model.config.pad_id, static_cast<int32_t>(model.architecture().embedding.position_offset)};
  plan.kernel = str_cat("ort-", plan.runtime->version);
  for (const ProviderChoice& choice : plan.session.providers) plan.kernel += str_cat("-", choice.name);
  return plan;
}

// A block of those that are computed side by side, each by one thread: its activations stay in that core's cache.
constexpr size_t kSplitTokens = 512;
// A block that all threads, or an accelerator, compute together.
constexpr size_t kWholeTokens = 16384;
// Accelerators prepare anew for each shape: few of them, please.
constexpr size_t kAcceleratorStep = 32;

bool on_cpu(const Plan& plan) {
  const auto& providers = plan.session.providers;
  return std::all_of(providers.begin(), providers.end(), [](const ProviderChoice& c) { return c.name == "cpu"; });
}

// `whole`: a session whose runs use all threads; for few long sequences, and for accelerators. `split`: one of which
// each thread runs its own; may be null.
class OnnxBackend : public Backend {
 public:
  OnnxBackend(std::shared_ptr<const model::Model> model, const Plan& plan, std::unique_ptr<GraphSession> whole,
              std::unique_ptr<GraphSession> split)
      : model_(std::move(model)),
        session_(std::move(whole)),
        split_(std::move(split)),
        worker_(*session_),
        team_(split_ ? plan.threads : 1) {
    for (size_t i = 0; split_ && i < plan.threads; ++i)
      split_workers_.push_back(std::make_unique<GraphSession::Worker>(*split_));
    const model::GraphFile& file = plan.session.file;
    info_ = {.engines = {EngineKind::kOnnx},
             .precisions = {file.precision},
             .kernel = plan.kernel,
             .threads = plan.threads,
             .max_length = model_->config.max_length()};
    // On CPUs a batch is shared out into blocks of like lengths inside, whatever it holds.
    info_.pads = !on_cpu(plan) || session_->fixed_length() != 0;
    info_.length_step = session_->fixed_length() != 0 ? session_->fixed_length() : on_cpu(plan) ? 1 : kAcceleratorStep;
    info_.depth = false;
    info_.files = file.external;
    info_.files.insert(info_.files.begin(), file.path);
    if (session_->fixed_length() != 0) info_.max_length = std::min(info_.max_length, session_->fixed_length());
    rule_.fixed_length = session_->fixed_length();
    rule_.fixed_rows = session_->fixed_rows();
    rule_.max_length = info_.max_length;
    rule_.length_step = info_.length_step;
    rule_.block_tokens = kWholeTokens;
    split_rule_ = rule_;
    split_rule_.block_tokens = kSplitTokens;
  }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    RETURN_IF_ERROR(check_batch(model_->architecture(), batch));
    RETURN_IF_ERROR(check_full_depth(model_->architecture(), batch, "onnx"));
    if (split_) {
      const auto blocks = share_out_padded(batch, split_rule_, team_.size());
      if (blocks.size() >= team_.size()) return run_split(batch, blocks, logits);
    }
    for (const PaddedBlock& block : share_out_padded(batch, rule_)) {
      RETURN_IF_ERROR(session_->run(worker_, batch, block, logits));
    }
    return ok_status();
  }

 private:
  Status run_split(const Batch& batch, const std::vector<PaddedBlock>& blocks, std::span<float> logits) {
    std::vector<Status> statuses(team_.size());
    team_.run(blocks.size(), [&](size_t block, size_t member) {
      if (!statuses[member].ok()) return;
      statuses[member] = split_->run(*split_workers_[member], batch, blocks[block], logits);
    });
    for (const Status& status : statuses) {
      if (!status.ok()) return status;
    }
    return ok_status();
  }

  std::shared_ptr<const model::Model> model_;
  std::unique_ptr<GraphSession> session_, split_;
  GraphSession::Worker worker_;
  std::vector<std::unique_ptr<GraphSession::Worker>> split_workers_;
  Team team_;
  PaddingRule rule_, split_rule_;
  BackendInfo info_;
};

}  // namespace
}  // namespace onnx

Result<std::string> describe_onnx_backend(const model::Model& model, const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto plan, onnx::plan(model, options));
  return str_cat(word_of(plan.session.file.precision), ", ", plan.session.file.path, " (opset ",
                 plan.session.file.opset, ", ", plan.session.file.producer, "), kernel ", plan.kernel, " of ",
                 plan.runtime->path, ", ", plan.threads, " thread(s)");
}

Result<std::unique_ptr<Backend>> make_onnx_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto plan, onnx::plan(*model, options));
  auto session = onnx::GraphSession::open(plan.session);
  if (!session.ok()) return session.status();
  std::unique_ptr<onnx::GraphSession> split;
  if (options.onnx_split && plan.threads > 1 && onnx::on_cpu(plan)) {
    onnx::SessionSpec one = plan.session;
    one.threads = 1;
    one.arena = false;
    ASSIGN_OR_RETURN(auto opened, onnx::GraphSession::open(one));
    split = std::move(opened);
  }
  return std::make_unique<onnx::OnnxBackend>(std::move(model), plan, std::move(*session), std::move(split));
}

}  // namespace rerank::engine
