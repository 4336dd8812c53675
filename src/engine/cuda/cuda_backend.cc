#include "engine/cuda/cuda_backend.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/cuda/host/library.h"
#include "engine/cuda/host/shared_batch.h"
#include "engine/cuda/model_spec.h"
#include "engine/cuda/plugin.h"
#include "engine/cuda/tuning_file.h"
#include "engine/depth/layered_backend.h"
#include "engine/depth/outputs.h"
#include "engine/depth/pooling.h"
#include "engine/encoder.h"
#include "engine/supported.h"

namespace rerank::engine {
namespace {

Status status_of(cuda::Code code, const char* message) {
  switch (code) {
    case cuda::Code::kOk:
      return ok_status();
    case cuda::Code::kOutOfMemory:
      return absl::ResourceExhaustedError(str_cat("cuda engine: ", message));
    case cuda::Code::kUnavailable:
    case cuda::Code::kUnsupported:
      return absl::UnimplementedError(str_cat("cuda engine: ", message));
    case cuda::Code::kFailed:
      break;
  }
  return absl::InternalError(str_cat("cuda engine: ", message));
}

struct Choice {
  const cuda::Plugin* plugin = nullptr;
  cuda::Type type = cuda::Type::kBf16;
  int device = 0;
  Precision precision = Precision::kBf16;
  std::string name;  // "NVIDIA H100, sm_90, 78 GiB"
};

// None: the engine has it not.
std::optional<cuda::Type> type_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return cuda::Type::kF32;
    case Precision::kBf16:
      return cuda::Type::kBf16;
    case Precision::kFp16:
      return cuda::Type::kF16;
    case Precision::kFp8:
      return cuda::Type::kFp8;
    case Precision::kAuto:
    case Precision::kInt8:
    case Precision::kInt4:
      break;
  }
  return std::nullopt;
}

// What supported.h has no word for.
std::string other_parts(const model::Architecture& a) {
  const model::Attention& first = a.blocks[0].attention;
  const model::Scoring& scoring = a.scoring;
  for (const model::Block& block : a.blocks) {
    if (block.attention.kv_heads != first.kv_heads) return "blocks of different shapes";
    if (block.placement == model::NormPlacement::kPost && block.sum_norms)
      return "norms of what a post-norm block adds";
  }
  if (scoring.rows == model::ScoredRows::kMeanOfLogits && scoring.softcap != 0) return "a softcap of a mean of logits";
  if (scoring.rows == model::ScoredRows::kMarked && (scoring.softcap != 0 || scoring.norm))
    return "a softcap or a norm of vectors";
  return "";
}

bool has_experts(const model::Architecture& a) {
  return std::ranges::any_of(a.blocks,
                             [](const model::Block& block) { return block.feed_forward.experts.has_value(); });
}

// What a library of that minor number would pass over of it; empty: nothing.
std::string newer_parts(const model::Architecture& a, uint32_t minor) {
  if (minor < 1 && (has_experts(a) || a.convolution || a.blocks[0].attention.mask == model::MaskKind::kWindowAndFirst))
    return "experts, convolutions or windows with a global first token";
  if (minor < 3 && a.scoring.rows == model::ScoredRows::kMarked)
    return "vectors of marked tokens (documents that are scored together)";
  return "";
}

Result<Choice> choose(const model::Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.kernel != KernelTier::kAuto)
    return absl::InvalidArgumentError("cuda engine: --kernel: there is one, auto");
  Choice choice;
  if (options.precision != Precision::kAuto) choice.precision = options.precision;
  const std::optional<cuda::Type> type = type_of(choice.precision);
  if (!type) {
    return absl::InvalidArgumentError(str_cat("cuda engine: --precision ", word_of(options.precision),
                                              ": there are auto (bf16), fp8, fp16, bf16, fp32"));
  }
  choice.type = *type;
  const model::Architecture& a = model.architecture();
  std::string parts = uncomputed_parts(a, kAllFeatures);
  if (parts.empty()) parts = other_parts(a);
  if (!parts.empty()) return absl::UnimplementedError(str_cat("cuda engine: does not compute ", parts));
  if (a.hidden % 8 != 0 || a.embedding.width % 8 != 0 || a.blocks[0].feed_forward.width % 8 != 0 ||
      a.blocks[0].attention.head_size % 8 != 0)
    return absl::UnimplementedError("cuda engine: widths that are not multiples of 8");
  if (!cuda_library().ok()) return cuda_library().status();
  choice.plugin = *cuda_library();
  if (const std::string newer = newer_parts(a, choice.plugin->minor); !newer.empty()) {
    return absl::UnimplementedError(
        str_cat("cuda engine: librerank_cuda.so is older than this program, and does not "
                "compute ",
                newer, ": take the one that came with it"));
  }
  char error[512] = "", text[256] = "";
  int count = 0;
  cuda::Code code = choice.plugin->devices(&count, error, sizeof error);
  if (code == cuda::Code::kUnavailable)
    return absl::UnimplementedError(str_cat(
        "cuda engine: ", error, " (librerank_cuda.so can be loaded: ", about_cuda_library(*choice.plugin), ")"));
  if (code == cuda::Code::kOk && options.device >= static_cast<size_t>(count)) {
    return absl::UnimplementedError(str_cat("cuda engine: there is no device ", options.device, ": there are ", count));
  }
  choice.device = static_cast<int>(options.device);
  if (code == cuda::Code::kOk)
    code = choice.plugin->describe(choice.device, choice.type, text, sizeof text, error, sizeof error);
  RETURN_IF_ERROR(status_of(code, error));
  choice.name = text;
  return choice;
}

class CudaEngine : public LayeredEngine {
 public:
  CudaEngine(std::shared_ptr<const model::Model> model, const Choice& choice, cuda::Engine* engine)
      : model_(std::move(model)),
        plugin_(choice.plugin),
        engine_(engine),
        counters_(can_share_prefixes(model_->architecture()) ? std::make_shared<PrefixCounters>() : nullptr) {
    const size_t sm = choice.name.find("sm_");
    info_ = {.engines = {EngineKind::kCuda},
             .precisions = {choice.precision},
             .kernel = choice.name.substr(sm, choice.name.find(',', sm) - sm),
             .threads = 1,
             .max_length = model_->config.max_length()};
    info_.offloads = true;
  }
  ~CudaEngine() override { plugin_->close(engine_); }
  CudaEngine(const CudaEngine&) = delete;
  CudaEngine& operator=(const CudaEngine&) = delete;

  // Right after opening: other engines may take memory later.
  Status find_room() {
    uint64_t tokens = 0;
    RETURN_IF_ERROR(call(plugin_->batch_tokens, &tokens));
    if (tokens < info_.max_length) {
      log_warning(str_cat("cuda engine: the device's free memory holds batches of about ", tokens,
                          " tokens: the longest pairs (", info_.max_length, ") may not fit"));
    }
    info_.batch_tokens = std::max<size_t>(1, tokens);
    return ok_status();
  }

  // What engines on such devices have found before, and a place for what this one finds.
  Status recall(const std::string& folder, int device) {
    if (folder.empty()) return ok_status();
    char error[512] = "", identity[512] = "";
    const cuda::Code code = plugin_->identity(device, identity, sizeof identity, error, sizeof error);
    RETURN_IF_ERROR(status_of(code, error));
    tuning_.emplace(folder, identity);
    const std::vector<cuda::TunedProduct> products = tuning_->read();
    log_info(str_cat("cuda engine: ", products.size(), " tuned products in ", tuning_->path()));
    return call(plugin_->recall, products.data(), static_cast<uint32_t>(products.size()));
  }

  void overlap(bool on) { info_.batches_in_flight = on ? cuda::kSlots : 1; }
  Status limit_tuning(size_t candidates) { return call(plugin_->limit_tuning, static_cast<uint32_t>(candidates)); }
  Status use_graphs(bool on) { return call(plugin_->use_graphs, on ? 1 : 0); }

  Status use_wgmma(bool on) {
    char text[256] = "";
    RETURN_IF_ERROR(call(plugin_->use_wgmma, on ? 1 : 0, &text[0], sizeof text));
    info_.kernel += str_cat(", ", text);
    return ok_status();
  }

  // 0: what sequences begin with is computed for each of them.
  void share_prefixes(bool on) {
    if (!on) counters_.reset();
  }
  // Of the device's memory, for what later batches begin with. Where there is no room prefixes are shared within a
  // batch alone.
  Status keep_prefixes(size_t bytes) {
    if (counters_ == nullptr || plugin_->keep_prefixes == nullptr) return ok_status();
    const model::Architecture& a = model_->architecture();
    const model::Attention& attention = a.blocks[0].attention;
    slot_bytes_ =
        a.layers() * 2 * attention.kv_heads * attention.head_size * (info_.precisions[0] == Precision::kFp32 ? 4 : 2);
    uint32_t slots = 0;
    const Status status = call(plugin_->keep_prefixes, uint64_t{bytes}, &slots);
    if (absl::IsResourceExhausted(status)) {
      log_warning(str_cat("cuda engine: the device has no room for --prefix-bytes ", bytes,
                          ": what pairs begin with is not kept for later batches"));
      return ok_status();
    }
    RETURN_IF_ERROR(status);
    kept_ = KeptPrefixes(slots);
    return ok_status();
  }
  std::shared_ptr<const PrefixCounters> prefix_counters() const override { return counters_; }

  const BackendInfo& info() const override { return info_; }

  // The batch goes to the device when it is known what is to be done with it: prefixes are shared only where all of it
  // is computed in one go.
  Status start(uint32_t slot, const Batch& batch) override {
    slot_ = slot;
    batch_ = batch;
    waits_ = true;
    steps_ = 0;
    return ok_status();
  }
  Status step(std::span<float> pooled) override {
    RETURN_IF_ERROR(send(0));
    ++steps_;
    return call(plugin_->step, pooled.empty() ? nullptr : pooled.data());
  }
  Status step_to_output(std::span<float> logits) override {
    std::vector<float> pooled(logits.size() * model::exit_width(model_->architecture()));
    RETURN_IF_ERROR(step(pooled));
    outputs_of_pooled(*model_, steps_, pooled, logits);
    return ok_status();
  }
  Status keep(std::span<const uint32_t> sequences) override {
    RETURN_IF_ERROR(send(0));
    return call(plugin_->keep, sequences.data(), static_cast<uint32_t>(sequences.size()));
  }
  Status launch(size_t layers) override {
    Status status = send(layers);
    if (status.ok()) status = call(plugin_->launch, static_cast<uint32_t>(layers));
    if (!status.ok()) {
      kept_.clear();  // what the batch was to keep is not there
      return status;
    }
    keep_tuning();
    return ok_status();
  }
  // Beside calls for another batch.
  Status finish(uint32_t slot, std::span<float> logits) override {
    Status status = call(plugin_->finish, slot, logits.data());
    if (!status.ok()) kept_is_lost_ = true;
    return status;
  }

 private:
  // The batch to the device, unless it is there. layers: that all of it is computed to in one go; 0: it is not.
  Status send(size_t layers) {
    if (!std::exchange(waits_, false)) return ok_status();
    if (layers == 0 || counters_ == nullptr) return send_batch(batch_, {.behind = {}});
    if (kept_is_lost_.exchange(false)) kept_.clear();
    const bool whole = layers == model_->architecture().layers();  // else there is less than is to be kept
    const SharedBatch shared = plugin_->keep_prefixes == nullptr
                                   ? share_first_prefixes(batch_)
                                   : engine::share_prefixes(batch_, whole ? &kept_ : nullptr);
    counters_->shared_tokens += shared.saved;
    counters_->kept_tokens += shared.kept;
    counters_->computed_tokens += shared.runs.tokens();
    counters_->kept_bytes = kept_.used() * slot_bytes_;
    return send_batch(shared.runs, shared);
  }

  Status send_batch(const Batch& runs, const SharedBatch& shared) {
    const size_t sequences = batch_.size();
    std::vector<uint32_t> queries(sequences);
    for (size_t i = 0; i < sequences; ++i) {
      const size_t begin = batch_.offsets[i], length = batch_.length(i);
      queries[i] = static_cast<uint32_t>(
          query_tokens(batch_.ids.subspan(begin, length), batch_.segments.subspan(begin, length)));
    }
    std::vector<uint32_t> marked;  // of such a model nothing is shared: its rows are the batch's
    if (model_->architecture().scoring.marks) marked = marked_rows(model_->architecture(), batch_);
    const cuda::BatchSpec spec{.ids = runs.ids.data(),
                               .segments = runs.segments.data(),
                               .offsets = runs.offsets.data(),
                               .queries = queries.data(),
                               .sequences = static_cast<uint32_t>(sequences),
                               .shared = shared.parts,
                               .behind = shared.behind.data(),
                               .prefix_row_count = static_cast<uint32_t>(shared.prefix_rows.size()),
                               .keep_count = static_cast<uint32_t>(shared.keep_rows.size()),
                               .prefix_rows = shared.prefix_rows.data(),
                               .prefix_begins = shared.prefix_begins.data(),
                               .prefix_counts = shared.prefix_counts.data(),
                               .keep_rows = shared.keep_rows.data(),
                               .keep_slots = shared.keep_slots.data(),
                               .marked_count = static_cast<uint32_t>(marked.size()),
                               .marked_rows = marked.data()};
    return call(plugin_->start, slot_, spec);
  }

  // Products whose shapes were met for the first time. That they cannot be kept fails no batch.
  void keep_tuning() {
    if (!tuning_) return;
    const cuda::TunedProduct* products = nullptr;
    uint32_t count = 0;
    Status status = call(plugin_->learned, &products, &count);
    if (status.ok() && count > 0) status = tuning_->keep({products, count});
    if (status.ok()) return;
    log_warning(str_cat(message_of(status), "; what is tuned is not kept from now on"));
    tuning_.reset();
  }

  template <class Function, class... Arguments>
  Status call(Function function, const Arguments&... arguments) {
    char error[512] = "";
    return status_of(function(engine_, arguments..., error, sizeof error), error);
  }

  std::shared_ptr<const model::Model> model_;
  const cuda::Plugin* plugin_;
  cuda::Engine* engine_;
  std::optional<TuningFile> tuning_;
  BackendInfo info_;
  std::shared_ptr<PrefixCounters> counters_;  // null: no prefixes are shared
  KeptPrefixes kept_{0};
  std::atomic<bool> kept_is_lost_ = false;  // a batch has failed while another one was begun
  size_t slot_bytes_ = 0;
  uint32_t slot_ = 0;
  Batch batch_;         // that start() was called with
  bool waits_ = false;  // it is not on the device yet
  size_t steps_ = 0;    // blocks of it that were computed
};

}  // namespace

Result<std::string> describe_cuda_backend(const model::Model& model, const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto choice, choose(model, options));
  return str_cat(word_of(choice.precision), " on ", choice.name);
}

Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto choice, choose(*model, options));
  const CudaModelSpec made(*model);
  cuda::ModelSpec spec = made.get();
  spec.fast_accumulation = options.fp8_fast_accumulation;
  cuda::Engine* engine = nullptr;
  char error[512] = "";
  const cuda::Code code = choice.plugin->open(spec, choice.type, choice.device, &engine, error, sizeof error);
  RETURN_IF_ERROR(status_of(code, error));
  auto backend = std::make_unique<CudaEngine>(model, choice, engine);
  backend->overlap(options.cuda_overlap);
  backend->share_prefixes(options.prefix_bytes > 0);
  RETURN_IF_ERROR(backend->keep_prefixes(options.prefix_bytes));
  RETURN_IF_ERROR(backend->find_room());
  RETURN_IF_ERROR(backend->limit_tuning(options.cuda_candidates));
  RETURN_IF_ERROR(backend->recall(options.tuning_cache, choice.device));
  RETURN_IF_ERROR(backend->use_graphs(options.cuda_graphs));
  RETURN_IF_ERROR(backend->use_wgmma(options.cuda_wgmma));
  return make_layered_backend(std::move(model), options.exits, std::move(backend));
}

}  // namespace rerank::engine
