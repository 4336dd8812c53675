#include "engine/cuda/cuda_backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "engine/cuda/model_spec.h"
#include "engine/cuda/plugin.h"
#include "engine/cuda/tuning_file.h"
#include "engine/depth/contests.h"
#include "engine/depth/pooling.h"
#include "engine/encoder.h"
#include "engine/sub_batch.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLibrary = "librerank_cuda.so";

// Beside the program, where it is installed, where it was built.
std::vector<std::string> places() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::string> found = {(program / kLibrary).string(),
                                    (program / "../lib/rerankd" / kLibrary).lexically_normal().string()};
  if (std::string(RERANKD_CUDA_LIBRARY) != "") found.push_back(RERANKD_CUDA_LIBRARY);
  return found;
}

Result<const cuda::Plugin*> load_library() {
  std::string looked;
  for (const std::string& place : places()) {
    std::error_code error;
    looked += str_cat(looked.empty() ? "" : ", ", place);
    if (!fs::exists(place, error)) continue;
    void* handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: the driver has threads of its own
    if (handle == nullptr) {
      const char* why = ::dlerror();
      return absl::UnimplementedError(str_cat(place, ": ", why == nullptr ? "cannot be loaded" : why));
    }
    const auto get = reinterpret_cast<const cuda::Plugin* (*)()>(::dlsym(handle, "rerank_cuda_plugin"));
    if (get == nullptr || get()->version != cuda::kPluginVersion)
      return absl::UnimplementedError(str_cat(place, ": belongs to another version of rerankd"));
    return get();
  }
  return absl::UnimplementedError(str_cat(kLibrary, " is not there (looked for ", looked,
                                          "): build where CUDA's nvcc is, or install it beside the program"));
}

// One library per process; a failure is remembered too, for a machine does not grow a driver while it runs.
const Result<const cuda::Plugin*>& library() {
  static const Result<const cuda::Plugin*> loaded = load_library();
  return loaded;
}

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
  std::string precision, name;  // "bf16", "NVIDIA H100, sm_90, 78 GiB"
};

Result<Choice> choose(const Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.kernel != "auto") return absl::InvalidArgumentError("cuda engine: --kernel: there is one, auto");
  Choice choice;
  choice.precision = options.precision == "auto" ? "bf16" : options.precision;
  if (choice.precision == "fp32") choice.type = cuda::Type::kF32;
  if (choice.precision == "fp16") choice.type = cuda::Type::kF16;
  if (choice.precision == "fp8") choice.type = cuda::Type::kFp8;
  if (choice.type == cuda::Type::kBf16 && choice.precision != "bf16") {
    return absl::InvalidArgumentError(
        str_cat("cuda engine: --precision ", options.precision, ": there are auto (bf16), fp8, fp16, bf16, fp32"));
  }
  const ModelConfig& c = model.config;
  if (c.hidden % 8 != 0 || c.embedding % 8 != 0 || c.intermediate % 8 != 0 || c.head_size() % 8 != 0)
    return absl::UnimplementedError("cuda engine: widths that are not multiples of 8");
  if (!library().ok()) return library().status();
  choice.plugin = *library();
  char error[512] = "", text[256] = "";
  int count = 0;
  cuda::Code code = choice.plugin->devices(&count, error, sizeof error);
  if (code == cuda::Code::kOk && options.device >= static_cast<size_t>(count)) {
    return absl::UnimplementedError(str_cat("cuda engine: there is no device ", options.device, ": there are ", count));
  }
  choice.device = static_cast<int>(options.device);
  if (code == cuda::Code::kOk)
    code = choice.plugin->describe(choice.device, choice.type, text, sizeof text, error, sizeof error);
  if (Status status = status_of(code, error); !status.ok()) return status;
  choice.name = text;
  return choice;
}

class CudaBackend : public Backend {
 public:
  CudaBackend(std::shared_ptr<const Model> model, const Choice& choice, cuda::Engine* engine,
              std::shared_ptr<const Exits> exits)
      : model_(std::move(model)), exits_(std::move(exits)), plugin_(choice.plugin), engine_(engine) {
    const size_t sm = choice.name.find("sm_");
    info_ = {"cuda", choice.precision, choice.name.substr(sm, choice.name.find(',', sm) - sm), 1,
             config().max_length()};
    info_.offloads = true;
  }

  // Right after opening: other engines may take memory later.
  Status find_room() {
    uint64_t tokens = 0;
    if (Status status = call(plugin_->batch_tokens, &tokens); !status.ok()) return status;
    if (tokens < config().max_length()) {
      log_warning(str_cat("cuda engine: the device's free memory holds batches of about ", tokens,
                          " tokens: the longest pairs (", config().max_length(), ") may not fit"));
    }
    most_tokens_ = info_.batch_tokens = std::max<size_t>(1, tokens);
    return ok_status();
  }

  ~CudaBackend() override { plugin_->close(engine_); }
  CudaBackend(const CudaBackend&) = delete;
  CudaBackend& operator=(const CudaBackend&) = delete;

  // What engines on such devices have found before, and a place for what this one finds.
  Status recall(const std::string& folder, int device) {
    if (folder.empty()) return ok_status();
    char error[512] = "", identity[512] = "";
    const cuda::Code code = plugin_->identity(device, identity, sizeof identity, error, sizeof error);
    if (Status status = status_of(code, error); !status.ok()) return status;
    tuning_.emplace(folder, identity);
    const std::vector<cuda::TunedProduct> products = tuning_->read();
    log_info(str_cat("cuda engine: ", products.size(), " tuned products in ", tuning_->path()));
    return call(plugin_->recall, products.data(), static_cast<uint32_t>(products.size()));
  }

  void overlap(bool on) { info_.batches_in_flight = on ? cuda::kSlots : 1; }
  Status use_graphs(bool on) { return call(plugin_->use_graphs, on ? 1 : 0); }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    return compute(batch, logits);
  }

  // Contests are run on the device as a whole. Where they do not fit everybody is computed to the full depth, in
  // pieces.
  Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                          std::span<uint8_t> depths) override {
    if (exits_ == nullptr || contests.empty()) return Backend::forward_contests(batch, contests, logits, depths);
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    const std::vector<uint32_t> others = outside_contests(batch, contests, depths);
    if (Status status = compute_some(batch, others, logits); !status.ok()) return status;
    if (batch.tokens() <= most_tokens_) {
      Status status = compete(batch, contests, logits, depths);
      if (!absl::IsResourceExhausted(status)) return status;
    }
    outside_contests(batch, contests, depths);
    return compute_some(batch, ContestRun(contests, *exits_).alive(), logits);
  }

  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    const size_t width = exit_width(config()), steps = config().layers - 1;
    return in_pieces(batch, 0, batch.size(), [&](const Batch& piece, size_t first) {
      Turn turn(*this);
      if (Status status = start(turn, piece); !status.ok()) return status;
      std::vector<float> pooled(piece.size() * width);
      for (size_t layer = 0; layer < steps; ++layer) {
        if (Status status = step(pooled.data()); !status.ok()) return status;
        for (size_t i = 0; i < piece.size(); ++i)
          std::copy_n(&pooled[i * width], width, &states[((first + i) * steps + layer) * width]);
      }
      return finish(turn, config().layers, &logits[first]);
    });
  }

 private:
  using Alive = std::vector<uint32_t>;

  // One thread's turn to start a batch, and the batch's slot, which it keeps until its results are there.
  class Turn {
   public:
    explicit Turn(CudaBackend& backend)
        : backend_(backend), lock_(backend.turn_), slot_(std::countr_one(backend.slots_taken_)) {
      backend_.slots_taken_ |= 1u << slot_;
    }
    ~Turn() {
      if (!lock_.owns_lock()) lock_.lock();
      backend_.slots_taken_ &= ~(1u << slot_);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    uint32_t slot() const { return slot_; }
    void pass_on() { lock_.unlock(); }

   private:
    CudaBackend& backend_;
    std::unique_lock<std::mutex> lock_;
    const uint32_t slot_;
  };

  // Sequences of one depth go together.
  Status compute(const Batch& batch, std::span<float> logits) {
    std::vector<std::vector<uint32_t>> by_depth(config().layers + 1);
    for (uint32_t s = 0; s < batch.size(); ++s)
      by_depth[depth_of(config(), batch, s, exits_.get()).layers].push_back(s);
    for (const auto& sequences : by_depth) {
      if (sequences.empty()) continue;
      const Depth depth = depth_of(config(), batch, sequences[0], exits_.get());
      if (sequences.size() == batch.size()) return compute_to(depth, batch, logits);
      SubBatch part;
      part.assign(batch, sequences);
      std::vector<float> results(sequences.size());
      if (Status status = compute_to(depth, part.view(), results); !status.ok()) return status;
      for (size_t i = 0; i < sequences.size(); ++i) logits[sequences[i]] = results[i];
    }
    return ok_status();
  }

  Status compute_to(const Depth& depth, const Batch& batch, std::span<float> logits) {
    return in_pieces(batch, 0, batch.size(), [&](const Batch& piece, size_t first) {
      Turn turn(*this);
      if (Status status = start(turn, piece); !status.ok()) return status;
      if (depth.exit == nullptr) return finish(turn, depth.layers, &logits[first]);
      const size_t width = exit_width(config());
      std::vector<float> pooled(piece.size() * width);
      for (size_t layer = 1; layer <= depth.layers; ++layer) {
        if (Status status = step(layer == depth.layers ? pooled.data() : nullptr); !status.ok()) return status;
      }
      for (size_t i = 0; i < piece.size(); ++i) logits[first + i] = depth.exit->apply(&pooled[i * width]);
      return ok_status();
    });
  }

  Status compute_some(const Batch& batch, const std::vector<uint32_t>& sequences, std::span<float> logits) {
    if (sequences.empty()) return ok_status();
    SubBatch part;
    part.assign(batch, sequences);
    std::vector<float> results(sequences.size());
    if (Status status = compute(part.view(), results); !status.ok()) return status;
    for (size_t i = 0; i < sequences.size(); ++i) logits[sequences[i]] = results[i];
    return ok_status();
  }

  // Layer by layer; who leaves behind one leaves the device's batch too.
  Status compete(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                 std::span<uint8_t> depths) {
    const size_t width = exit_width(config());
    ContestRun contest(contests, *exits_);
    SubBatch part;
    part.assign(batch, contest.alive());
    Turn turn(*this);
    if (Status status = start(turn, part.view()); !status.ok()) return status;
    for (size_t layer = 0; layer + 1 < config().layers && contest.open(); ++layer) {
      const Alive before = contest.alive();
      std::vector<float> pooled(before.size() * width), guesses(before.size());
      if (Status status = step(pooled.data()); !status.ok()) return status;
      for (size_t i = 0; i < before.size(); ++i) guesses[i] = exits_->heads[layer].apply(&pooled[i * width]);
      contest.drop(layer, guesses, logits, depths);
      if (contest.alive().empty()) return ok_status();
      if (Status status = keep(before, contest.alive()); !status.ok()) return status;
    }
    const Alive& alive = contest.alive();
    std::vector<float> results(alive.size());
    if (Status status = finish(turn, config().layers, results.data()); !status.ok()) return status;
    for (size_t i = 0; i < alive.size(); ++i) logits[alive[i]] = results[i];
    return ok_status();
  }

  // body(piece, its first sequence) for sequences [first, last), in as few pieces as the device's memory has room for.
  // What did not fit once is not tried again in one piece.
  template <class Body>
  Status in_pieces(const Batch& batch, size_t first, size_t last, const Body& body) {
    if (first == last) return ok_status();
    const size_t begin = batch.offsets[first], tokens = batch.offsets[last] - begin;
    if (tokens <= most_tokens_ || last - first == 1) {
      std::vector<uint32_t> offsets(batch.offsets.begin() + first, batch.offsets.begin() + last + 1);
      for (uint32_t& offset : offsets) offset -= static_cast<uint32_t>(begin);
      Status status = body({batch.ids.subspan(begin, tokens), batch.segments.subspan(begin, tokens), offsets}, first);
      if (!absl::IsResourceExhausted(status) || last - first == 1) return status;
      most_tokens_ = tokens / 2;
      log_warning(
          str_cat(message_of(status), "; batches of ", tokens, " tokens do not fit: ", tokens / 2, " from now on"));
    }
    size_t middle = first + 1;
    while (middle + 1 < last && batch.offsets[middle + 1] - begin <= tokens / 2) ++middle;
    if (Status status = in_pieces(batch, first, middle, body); !status.ok()) return status;
    return in_pieces(batch, middle, last, body);
  }

  Status start(const Turn& turn, const Batch& batch) {
    std::vector<uint32_t> queries(batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      const size_t begin = batch.offsets[i], length = batch.length(i);
      queries[i] =
          static_cast<uint32_t>(query_tokens(batch.ids.subspan(begin, length), batch.segments.subspan(begin, length)));
    }
    const cuda::BatchSpec spec{batch.ids.data(), batch.segments.data(), batch.offsets.data(), queries.data(),
                               static_cast<uint32_t>(batch.size())};
    return call(plugin_->start, turn.slot(), spec);
  }
  Status step(float* pooled) { return call(plugin_->step, pooled); }
  Status keep(const Alive& before, const Alive& after) {
    if (before.size() == after.size()) return ok_status();
    std::vector<uint32_t> places;
    for (uint32_t i = 0; i < before.size(); ++i) {
      if (places.size() < after.size() && before[i] == after[places.size()]) places.push_back(i);
    }
    return call(plugin_->keep, places.data(), static_cast<uint32_t>(places.size()));
  }
  // The next batch is started while this one is waited for.
  Status finish(Turn& turn, size_t layers, float* logits) {
    if (Status status = call(plugin_->launch, static_cast<uint32_t>(layers)); !status.ok()) return status;
    keep_tuning();
    turn.pass_on();
    return call(plugin_->finish, turn.slot(), logits);
  }

  // Products whose shapes were met for the first time. That they cannot be kept fails nobody.
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

  const ModelConfig& config() const { return model_->config; }

  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Exits> exits_;  // may be null
  const cuda::Plugin* plugin_;
  cuda::Engine* engine_;
  std::atomic<size_t> most_tokens_ = SIZE_MAX;  // of one piece
  std::mutex turn_;                             // whose it is to call the engine; finish() needs none
  uint32_t slots_taken_ = 0;                    // bits; guarded by turn_
  std::optional<TuningFile> tuning_;            // guarded by turn_
  BackendInfo info_;
};

}  // namespace

Result<std::string> describe_cuda_backend(const Model& model, const BackendOptions& options) {
  auto choice = choose(model, options);
  if (!choice.ok()) return choice.status();
  return str_cat(choice->precision, " on ", choice->name);
}

Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const Model> model, const BackendOptions& options) {
  auto choice = choose(*model, options);
  if (!choice.ok()) return choice.status();
  const CudaModelSpec spec(*model);
  cuda::Engine* engine = nullptr;
  char error[512] = "";
  const cuda::Code code = choice->plugin->open(spec.get(), choice->type, choice->device, &engine, error, sizeof error);
  if (Status status = status_of(code, error); !status.ok()) return status;
  auto backend = std::make_unique<CudaBackend>(std::move(model), *choice, engine, options.exits);
  backend->overlap(options.cuda_overlap);
  if (Status status = backend->find_room(); !status.ok()) return status;
  if (Status status = backend->recall(options.tuning_cache, choice->device); !status.ok()) return status;
  if (Status status = backend->use_graphs(options.cuda_graphs); !status.ok()) return status;
  return backend;
}

}  // namespace rerank
