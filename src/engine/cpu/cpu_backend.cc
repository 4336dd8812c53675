#include "engine/cpu/cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <new>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/memory.h"
#include "engine/cpu/amx/tile_ops.h"
#include "engine/cpu/grouping.h"
#include "engine/cpu/pick_tier.h"
#include "engine/cpu/shared_prefixes.h"
#include "engine/cpu/topology.h"
#include "engine/cpu/vector/cpu_ops.h"
#include "engine/cpu/weights/room.h"
#include "engine/cpu/weights/weight_cache.h"
#include "engine/depth/layered_backend.h"

namespace rerank::engine {
namespace cpu {
namespace {

constexpr size_t kGroupTokens = 512;

size_t threads_of(const BackendOptions& options) {
  return options.threads != 0 ? options.threads : available_threads();
}

// Threads of the engine's own. Weights are packed with some where it computes with threads that others use meanwhile.
std::shared_ptr<Team> make_team(const BackendOptions& options) {
  const size_t threads = threads_of(options);
  return std::make_shared<Team>(threads, options.pin_threads ? cpus_for(nodes(), threads) : std::vector<int>());
}

// The store outlives the weights that lie in it.
template <class PackedWeights>
struct StoredWeights {
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<PackedWeights> weights;
};

// Packs them, or takes them from the weight cache; a file of the cache that is none, or damaged, is written anew. Where
// that fails a warning says why, and they are packed into memory.
template <class PackedWeights>
StoredWeights<PackedWeights> open_weights(std::shared_ptr<const model::Model> model, const BackendOptions& options,
                                          const KernelTable& kernels, Team& team) {
  const auto pack = [&](WeightStore& store) {
    return std::make_unique<PackedWeights>(model, kernels, Packing{team, store});
  };
  if (!options.weight_cache.empty()) {
    const WeightCacheOptions cache = {
        options.weight_cache, options.weight_cache_bytes,
        str_cat(model->weights.files->digest().hex(), " ", word_of(kernels.precision), " ", word_of(kernels.tier), " ",
                RERANKD_VERSION, " layout ", PackedWeights::kOrder, ".", PackedWeights::kLayout, ".", kPanelLayout)};
    // The second time after a writing.
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto mapped = MappedWeights::open(cache);
      if (mapped.ok()) {
        std::unique_ptr<PackedWeights> weights = pack(**mapped);
        if (!(*mapped)->mismatched()) {
          log_info(str_cat("weights: ", weight_cache_file(cache), ", ", (*mapped)->bytes(), " bytes"));
          return {std::move(*mapped), std::move(weights)};
        }
      }
      if (attempt == 1) break;
      if (absl::IsDataLoss(mapped.status())) log_warning(str_cat(message_of(mapped.status()), "; written anew"));
      auto writer = WeightWriter::create(cache);
      Status status = writer.status();
      if (status.ok()) {
        pack(**writer);
        status = (*writer)->commit();
      }
      if (!status.ok()) {
        log_warning(str_cat(message_of(status), "; the weights are packed into memory"));
        break;
      }
    }
  }
  auto store = std::make_unique<OwnWeights>();
  auto weights = pack(*store);
  return {std::move(store), std::move(weights)};
}

// `Ops` over `PackedWeights`: the verbs on rows of fp32, or on tiles. A batch is shared out anew for each run of
// blocks: between runs its state lies in rows of fp32.
template <class PackedWeights, class Ops>
class CpuEngine : public LayeredEngine {
 public:
  CpuEngine(std::shared_ptr<const model::Model> model, const BackendOptions& options, const KernelTable& kernels)
      : team_(options.team ? options.team : make_team(options)),
        weights_(open_weights<PackedWeights>(std::move(model), options, kernels,
                                             options.team ? *make_team(options) : *team_)),
        kernels_(&kernels),
        chunk_tokens_(options.chunk_tokens),
        prefixes_(architecture(), Ops::kTakesRuns ? options.prefix_bytes : 0) {
    for (size_t i = 0; i < team_->size(); ++i) workers_.push_back(std::make_unique<Worker>(*weights_.weights, kernels));
    together();
    if constexpr (Ops::kTakesRuns) {
      for (const auto& worker : workers_) worker->ops.limit_rows(chunk_tokens_);
    }
    info_ = {.engines = {EngineKind::kCpu},
             .precisions = {kernels.precision},
             .kernel = std::string(word_of(kernels.tier)),
             .threads = team_->size(),
             .max_length = architecture().max_length,
             .interruptible = true};
    if (options.weight_cache.empty())
      info_.packed_bytes = packed_bytes(weights_.weights->model->weights, kernels.precision);
  }

  const BackendInfo& info() const override { return info_; }

  Status start(uint32_t, const Batch& batch) override {
    now_->batch = batch;
    now_->runs.clear();
    now_->pass.reset();
    now_->done = now_->wanted = 0;
    return ok_status();
  }

  // Blocks whose state nobody reads are computed with the next ones.
  Status step(std::span<float> pooled) override {
    ++now_->wanted;
    if (pooled.empty()) return ok_status();
    const model::Architecture& a = architecture();
    const size_t width = model::exit_width(a);
    return advance([&](std::span<const uint32_t> group, Ops&, const Batch& sub, std::span<const float> rows) {
      std::vector<float> read(sub.size() * width);
      pool_states(sub, a.hidden, a.scoring.rows == model::ScoredRows::kLast, rows, read);
      for (size_t i = 0; i < group.size(); ++i) std::copy_n(&read[i * width], width, &pooled[group[i] * width]);
    });
  }

  // It reads the last token only: what sequences begin with is computed once here too.
  Status step_to_output(std::span<float> logits) override {
    ++now_->wanted;
    if (now_->done == 0 && prefixes_.enabled()) RETURN_IF_ERROR(share_prefixes(architecture().layers()));
    return advance([&](std::span<const uint32_t> group, Ops& ops, const Batch& sub, std::span<const float> rows) {
      std::vector<float> read(sub.size());
      read_output(architecture(), sub, ops, now_->wanted, rows, read);
      for (size_t i = 0; i < group.size(); ++i) logits[group[i]] = read[i];
    });
  }

  Status keep(std::span<const uint32_t> sequences) override {
    const auto nobody_reads = [](std::span<const uint32_t>, Ops&, const Batch&, std::span<const float>) {};
    if (now_->wanted > now_->done) RETURN_IF_ERROR(advance(nobody_reads));
    const size_t hidden = architecture().hidden;
    float* to = now_->rows.data();
    for (size_t i = 0; now_->done > 0 && i < sequences.size(); ++i) {
      const uint32_t s = sequences[i];
      to = std::copy_n(&now_->rows[now_->batch.offsets[s] * hidden], now_->batch.length(s) * hidden, to);
    }
    OwnedBatch kept;
    kept.assign(now_->batch, sequences);
    std::swap(now_->kept, kept);
    now_->batch = now_->kept.view(now_->batch.stop);
    for (size_t i = 0; !now_->runs.empty() && i < sequences.size(); ++i) now_->runs[i] = now_->runs[sequences[i]];
    if (!now_->runs.empty()) now_->runs.resize(sequences.size());
    return ok_status();
  }

  Status launch(size_t layers) override {
    now_->logits.resize(result_count(architecture(), now_->batch));
    if (now_->done == 0 && prefixes_.enabled()) RETURN_IF_ERROR(share_prefixes(layers));
    return run(now_->batch, now_->runs, [&](std::span<const uint32_t> group, Ops& ops, const Batch& sub) {
      std::vector<float> results(result_count(architecture(), sub));
      if (now_->done == 0) {
        encode_to(architecture(), sub, ops, {layers, nullptr}, results);
      } else {
        std::vector<float> rows = rows_of(group, sub);
        encode_rest(architecture(), sub, ops, now_->done, layers, rows, results);
      }
      if (architecture().scoring.marks) return void(now_->logits = std::move(results));  // they come one by one
      for (size_t i = 0; i < group.size(); ++i) now_->logits[group[i]] = results[i];
    });
  }

  std::shared_ptr<const PrefixCounters> prefix_counters() const override { return prefixes_.counters(); }

  Status finish(uint32_t, std::span<float> logits) override {
    std::copy_n(now_->logits.begin(), logits.size(), logits.begin());
    now_->batch = {};
    now_->runs.clear();
    now_->pass.reset();  // what it computed for this batch alone
    return check_files();
  }

  // Whether the files that weights are read from, tables of embeddings and perhaps packed matrices, are still those
  // that were opened.
  Status check_files() const {
    RETURN_IF_ERROR(weights_.weights->model->weights.files->check());
    return weights_.store->check();
  }

 private:
  // What sequences begin with together, as far as the keys of `layers` blocks. The batch is then what each has of its
  // own.
  Status share_prefixes(size_t layers) {
    try {
      SharedPass& pass = now_->pass.emplace(prefixes_.begin(now_->batch, layers));
      while (pass.next_level()) {
        Status status = run(pass.batch(), pass.runs(), [&](std::span<const uint32_t>, Ops& ops, const Batch& sub) {
          encode_keys(sub, ops, layers);
        });
        if (!status.ok()) return status;
      }
      pass.finish_parts();
      now_->runs.assign(pass.runs().begin(), pass.runs().end());
      const Batch whole = now_->batch;
      now_->batch = pass.batch();
      now_->batch.stop = whole.stop;
      now_->batch.between = whole.between;
      return ok_status();
    } catch (const std::bad_alloc&) {
      return out_of_memory();
    }
  }

  static Status out_of_memory() {
    return absl::InternalError("cpu engine: out of memory for this batch; lower --max-batch-tokens");
  }

  // The blocks up to now_->wanted. read(group, ops, the group as a batch, its state [tokens, hidden] after them).
  template <class Read>
  Status advance(const Read& read) {
    const size_t hidden = architecture().hidden;
    now_->rows.resize(std::max(now_->rows.size(), now_->batch.tokens() * hidden));
    Status status = run(now_->batch, now_->runs, [&](std::span<const uint32_t> group, Ops& ops, const Batch& sub) {
      std::vector<float> rows = rows_of(group, sub);
      encode_blocks(sub, ops, now_->done, now_->wanted, rows);
      for (size_t i = 0; i < group.size(); ++i)
        std::copy_n(&rows[sub.offsets[i] * hidden], sub.length(i) * hidden,
                    &now_->rows[now_->batch.offsets[group[i]] * hidden]);
      if (!sub.stopped()) read(group, ops, sub, rows);
    });
    now_->done = now_->wanted;
    return status;
  }

  // The state of a group's tokens, end to end; room for it where there is none yet.
  std::vector<float> rows_of(std::span<const uint32_t> group, const Batch& sub) const {
    const size_t hidden = architecture().hidden;
    std::vector<float> rows(sub.tokens() * hidden);
    for (size_t i = 0; now_->done > 0 && i < group.size(); ++i)
      std::copy_n(&now_->rows[now_->batch.offsets[group[i]] * hidden], sub.length(i) * hidden,
                  &rows[sub.offsets[i] * hidden]);
    return rows;
  }

  // body(group, ops, the group as a batch) for groups of sequences. `runs`: what each of them stands after; empty:
  // nothing.
  template <class Body>
  Status run(const Batch& batch, std::span<const Run> runs, const Body& body) {
    const Grouping grouping = share_out(batch.offsets, team_->size(), kGroupTokens);
    std::atomic<bool> failed{false};
    auto compute_one = [&](size_t g, Ops& ops, OwnedBatch& sub, const std::function<void()>* between) {
      try {
        if (now_->batch.stopped()) return;
        sub.assign(batch, grouping.groups[g]);
        ops.watch(now_->batch.stop);
        std::vector<Run> own;
        for (uint32_t s : grouping.groups[g])
          if (!runs.empty()) own.push_back(runs[s]);
        if constexpr (Ops::kTakesRuns) ops.begin_runs(own);
        Batch view = sub.view(now_->batch.stop);
        view.between = between;
        body(std::span<const uint32_t>(grouping.groups[g]), ops, view);
      } catch (const std::bad_alloc&) {
        failed = true;
      }
    };
    if (const auto* outer = now_->batch.between; outer != nullptr || grouping.together) {
      const std::function<void()> between = [&] { interrupt(*outer); };
      OwnedBatch sub;
      for (size_t g = 0; g < grouping.groups.size(); ++g)
        compute_one(g, together(), sub, outer != nullptr ? &between : nullptr);
    } else {
      team_->run(grouping.groups.size(), [&](size_t g, size_t member) {
        compute_one(g, workers_[member]->ops, workers_[member]->batch, nullptr);
      });
    }
    if (now_->batch.stopped()) return absl::CancelledError("cpu engine: no request waits for this batch any more");
    return failed ? out_of_memory() : ok_status();
  }

  // A batch that is under way.
  struct UnderWay {
    Batch batch;
    OwnedBatch kept;                 // what batch views once sequences have left
    std::optional<SharedPass> pass;  // what it views where prefixes were computed first
    std::vector<Run> runs;           // what each of its sequences stands after; empty: nothing
    size_t done = 0, wanted = 0;     // blocks
    std::vector<float> rows;         // [tokens, hidden] after `done` blocks, where that is not 0
    std::vector<float> logits;
  };

  // The verbs by which all threads work on one group. Those of an interrupted batch hold its activations.
  Ops& together() {
    if (together_.size() == depth_) {
      together_.push_back(std::make_unique<Ops>(*weights_.weights, *kernels_, team_.get()));
      if constexpr (Ops::kTakesRuns) together_.back()->limit_rows(chunk_tokens_);
    }
    return *together_[depth_];
  }

  // Other batches have their turn, while this one stays as it is.
  void interrupt(const std::function<void()>& between) {
    std::unique_ptr<UnderWay> own = std::exchange(now_, std::make_unique<UnderWay>());
    ++depth_;
    between();
    --depth_;
    now_ = std::move(own);
  }

  struct Worker {
    Worker(const PackedWeights& weights, const KernelTable& kernels) : ops(weights, kernels, nullptr) {}
    Ops ops;
    OwnedBatch batch;
  };

  const model::Architecture& architecture() const { return weights_.weights->model->architecture(); }

  std::shared_ptr<Team> team_;
  StoredWeights<PackedWeights> weights_;
  const KernelTable* const kernels_;
  const size_t chunk_tokens_;
  std::vector<std::unique_ptr<Ops>> together_;  // by depth_
  std::vector<std::unique_ptr<Worker>> workers_;
  SharedPrefixes prefixes_;
  BackendInfo info_;
  size_t depth_ = 0;  // batches that have been interrupted for the one that is computed
  std::unique_ptr<UnderWay> now_ = std::make_unique<UnderWay>();
};

}  // namespace
}  // namespace cpu

Result<std::string> describe_cpu_backend(const model::Model& model, const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto kernels, cpu::pick_tier(model, options));
  std::string text = str_cat(word_of(kernels->precision), ", kernel ", word_of(kernels->tier), ", ",
                             cpu::threads_of(options), " thread(s)");
  text += cpu::refused_tiers(model.architecture());
  return text;
}

Result<std::unique_ptr<Backend>> make_cpu_backend(std::shared_ptr<const model::Model> model,
                                                  const BackendOptions& options) {
  ASSIGN_OR_RETURN(auto kernels, cpu::pick_tier(*model, options));
  // Packed weights of a cache are a file's pages, which the system may take back.
  if (options.weight_cache.empty())
    RETURN_IF_ERROR(cpu::check_room(model->weights, kernels->precision, usable_memory(), options.other_weights));
  try {
    const auto open = [&](auto engine) -> Result<std::unique_ptr<Backend>> {
      RETURN_IF_ERROR(engine->check_files());  // the weights were packed from them
      return make_layered_backend(model, options.exits, std::move(engine));
    };
    if (kernels->tiles == nullptr)
      return open(std::make_unique<cpu::CpuEngine<cpu::CpuWeights, cpu::CpuOps>>(model, options, *kernels));
    return open(std::make_unique<cpu::CpuEngine<cpu::TileWeights, cpu::TileOps>>(model, options, *kernels));
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("cpu engine: not enough memory for the packed weights");
  }
}

}  // namespace rerank::engine
