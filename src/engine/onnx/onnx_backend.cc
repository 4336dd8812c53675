#include "engine/onnx/onnx_backend.h"

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "engine/cpu/team.h"
#include "engine/onnx/graph_session.h"
#include "model/graphs.h"

namespace rerank {
namespace onnx_engine {
namespace {

namespace fs = std::filesystem;

// Names that exporters give to precisions.
bool says(const std::string& path, const std::string& precision) {
  const std::string name = fs::path(path).stem().string();
  const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
  const bool quantized = has("quant") || has("int8") || has("_q4") || has("bnb4") || has("avx") || has("arm64");
  const bool half = has("fp16") || has("f16");
  if (precision == "int8") return quantized && !half;
  if (precision == "fp16") return half && !quantized;
  return !quantized && !half;  // auto: what the model is as it was exported
}

Result<std::string> pick_file(const Model& model, const BackendOptions& options) {
  std::error_code error;
  if (!options.onnx_file.empty()) {
    for (const fs::path& path : {fs::path(model.folder) / options.onnx_file, fs::path(options.onnx_file)}) {
      if (fs::is_regular_file(path, error)) return path.string();
    }
    return absl::NotFoundError(str_cat("--onnx-file ", options.onnx_file, ": neither in ", model.folder, " nor here"));
  }
  const std::vector<std::string> files = onnx_files(model.folder);
  if (files.empty()) {
    return absl::NotFoundError(str_cat(model.folder, ": no .onnx file is in it or in its onnx/; make one with rerankd "
                                                     "convert, or name one with --onnx-file"));
  }
  std::string there;
  for (const std::string& file : files) {
    if (says(file, options.precision)) return file;
    there += str_cat(there.empty() ? "" : ", ", file);
  }
  if (options.precision == "auto" && files.size() == 1) return files[0];
  return absl::NotFoundError(str_cat("onnx engine: no file for precision ", options.precision, " among ", there,
                                     "; name one with --onnx-file, or make it with rerankd convert"));
}

struct Plan {
  const Runtime* runtime = nullptr;
  SessionSpec session;
  size_t threads = 1;
  std::string kernel;  // "ort-1.31.1-cpu"
};

Result<Plan> plan(const Model& model, const BackendOptions& options) {
  if (options.exits != nullptr)
    return absl::UnimplementedError("onnx engine: --exits: a graph computes all layers (see rerankd convert --keep-layers)");
  if (options.kernel != "auto")
    return absl::InvalidArgumentError("onnx engine: --kernel: ONNX Runtime picks its own; see --onnx-provider");
  auto path = pick_file(model, options);
  if (!path.ok()) return path.status();
  auto file = read_graph_file(*path);
  if (!file.ok()) return file.status();
  if (options.precision != "auto" && options.precision != file->precision) {
    return absl::InvalidArgumentError(str_cat("onnx engine: --precision ", options.precision, ": ", *path, " is ",
                                              file->precision, ", and a graph is computed as it is"));
  }
  auto runtime = load_runtime(options.onnxruntime_library);
  if (!runtime.ok()) return runtime.status();
  auto providers = parse_providers(options.onnx_provider, **runtime);
  if (!providers.ok()) return providers.status();
  Plan plan;
  plan.runtime = *runtime;
  plan.threads = options.threads != 0 ? options.threads : cpu::available_threads();
  plan.session.file = std::move(*file);
  plan.session.providers = std::move(*providers);
  plan.session.threads = plan.threads;
  plan.session.pad = {model.config.pad_id, static_cast<int32_t>(model.config.position_offset)};
  plan.kernel = str_cat("ort-", plan.runtime->version);
  for (const ProviderChoice& choice : plan.session.providers) plan.kernel += str_cat("-", choice.name);
  return plan;
}

class OnnxBackend : public Backend {
 public:
  OnnxBackend(std::shared_ptr<const Model> model, const Plan& plan, std::unique_ptr<GraphSession> session)
      : model_(std::move(model)), session_(std::move(session)), worker_(*session_) {
    const GraphFile& file = plan.session.file;
    info_ = {"onnx", file.precision, plan.kernel, plan.threads, model_->config.max_length()};
    info_.pads = true;
    info_.depth = false;
    info_.files = file.external;
    info_.files.insert(info_.files.begin(), file.path);
    if (session_->fixed_length() != 0) info_.max_length = std::min(info_.max_length, session_->fixed_length());
    rule_.fixed_length = session_->fixed_length();
    rule_.fixed_rows = session_->fixed_rows();
    rule_.max_length = info_.max_length;
  }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    if (Status status = check_batch(model_->config, batch); !status.ok()) return status;
    if (Status status = check_full_depth(model_->config, batch, "onnx"); !status.ok()) return status;
    for (const PaddedBlock& block : share_out_padded(batch, rule_)) {
      if (Status status = session_->run(worker_, batch, block, logits); !status.ok()) return status;
    }
    return ok_status();
  }

 private:
  std::shared_ptr<const Model> model_;
  std::unique_ptr<GraphSession> session_;
  GraphSession::Worker worker_;
  PaddingRule rule_;
  BackendInfo info_;
};

}  // namespace
}  // namespace onnx_engine

Result<std::string> describe_onnx_backend(const Model& model, const BackendOptions& options) {
  auto plan = onnx_engine::plan(model, options);
  if (!plan.ok()) return plan.status();
  return str_cat(plan->session.file.precision, ", ", plan->session.file.path, " (opset ", plan->session.file.opset,
                 ", ", plan->session.file.producer, "), kernel ", plan->kernel, " of ", plan->runtime->path, ", ",
                 plan->threads, " thread(s)");
}

Result<std::unique_ptr<Backend>> make_onnx_backend(std::shared_ptr<const Model> model, const BackendOptions& options) {
  auto plan = onnx_engine::plan(*model, options);
  if (!plan.ok()) return plan.status();
  auto session = onnx_engine::GraphSession::open(plan->session);
  if (!session.ok()) return session.status();
  return std::make_unique<onnx_engine::OnnxBackend>(std::move(model), *plan, std::move(*session));
}

}  // namespace rerank
