#include "engine/cpu/cpu_backend.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <unordered_map>

#include "base/hash.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/cpu/amx/tile_ops.h"
#include "engine/cpu/grouping.h"
#include "engine/cpu/topology.h"
#include "engine/cpu/vector/cpu_ops.h"
#include "engine/cpu/weights/weight_cache.h"
#include "engine/depth/contests.h"
#include "engine/sub_batch.h"

namespace rerank {
namespace cpu {
namespace {

constexpr size_t kGroupTokens = 512;

// The first tier, best first, that fits what is wanted and that this machine runs.
Result<const KernelTable*> pick(const BackendOptions& options) {
  const std::string_view precision = options.precision;
  if (precision != "auto" && precision != "fp32" && precision != "bf16" && precision != "int8") {
    return absl::InvalidArgumentError(str_cat("--precision ", options.precision,
                                              ": the cpu engine has auto, fp32, bf16, int8; fp8 is the cuda engine's"));
  }
  std::string known, refusals;
  const KernelTable* slower = nullptr;
  for (const KernelTable* table : compiled_kernels()) {
    known += str_cat(", ", table->name);
    if (options.kernel != "auto" && options.kernel != table->name) continue;
    if (options.precision != "auto" && options.precision != table->precision) continue;
    const std::string_view refusal = why_not(*table);
    if (!refusal.empty()) {
      refusals += str_cat(refusals.empty() ? "" : "; ", table->name, ": ", refusal);
      continue;
    }
    if (options.kernel != "auto" || is_automatic(*table)) return table;  // a tier named is taken as it is
    if (options.precision == "auto" || std::string_view(table->name).ends_with("-emulated")) continue;
    if (is_worth_it(*table)) return table;
    // A precision asked for may be slower than fp32, where there is nothing better.
    if (slower == nullptr) slower = table;
  }
  if (slower != nullptr) return slower;
  if (!refusals.empty()) return absl::UnimplementedError(str_cat("cpu engine: ", refusals));
  return absl::InvalidArgumentError(str_cat("--kernel ", options.kernel, " with --precision ", options.precision,
                                            ": no such tier; there are auto", known));
}

// A model that was quantized is computed so where nothing else is asked for.
BackendOptions with_precision_of(const Model& model, BackendOptions options) {
  if (model.weights.quantized && options.precision == "auto") options.precision = "int8";
  return options;
}

// For each sequence the first that is the same, itself where there is none before it.
std::vector<uint32_t> find_copies(const Batch& batch) {
  std::vector<uint32_t> copy_of(batch.size());
  std::unordered_multimap<uint64_t, uint32_t> seen;
  auto part = [&](std::span<const int32_t> values, uint32_t s) {
    return std::string_view(reinterpret_cast<const char*>(values.data() + batch.offsets[s]), batch.length(s) * 4);
  };
  for (uint32_t s = 0; s < batch.size(); ++s) {
    copy_of[s] = s;
    const uint64_t hash = hash128(part(batch.segments, s), hash128(part(batch.ids, s)).low).low;
    const auto [begin, end] = seen.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      const uint32_t first = it->second;
      if (part(batch.ids, s) == part(batch.ids, first) && part(batch.segments, s) == part(batch.segments, first)) {
        copy_of[s] = first;
        break;
      }
    }
    if (copy_of[s] == s) seen.emplace(hash, s);
  }
  return copy_of;
}

size_t threads_of(const BackendOptions& options) {
  return options.threads != 0 ? options.threads : available_threads();
}

// The store outlives the weights that lie in it.
template <class Weights>
struct StoredWeights {
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<Weights> weights;
};

// Packs them, or takes them from the weight cache; a file of the cache that is none, or damaged, is written anew. Where
// that fails a warning says why, and they are packed into memory.
template <class Weights>
StoredWeights<Weights> open_weights(std::shared_ptr<const Model> model, const BackendOptions& options,
                                    const KernelTable& kernels, Team& team) {
  const auto pack = [&](WeightStore& store) { return std::make_unique<Weights>(model, kernels, Packing{team, store}); };
  if (!options.weight_cache.empty()) {
    const WeightCacheOptions cache = {
        options.weight_cache, options.weight_cache_bytes,
        str_cat(model->weights.files->digest().hex(), " ", kernels.precision, " ", kernels.name, " ", RERANKD_VERSION,
                " layout ", Weights::kOrder, ".", Weights::kLayout, ".", kPanelLayout)};
    // The second time behind a writing.
    for (int attempt = 0; attempt < 2; ++attempt) {
      auto mapped = MappedWeights::open(cache);
      if (mapped.ok()) {
        std::unique_ptr<Weights> weights = pack(**mapped);
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

// `Ops` over `Weights`: the verbs on rows of fp32, or on tiles.
template <class Weights, class Ops>
class CpuBackend : public Backend {
 public:
  CpuBackend(std::shared_ptr<const Model> model, const BackendOptions& options, const KernelTable& kernels)
      : exits_(options.exits),
        team_(threads_of(options), options.pin_threads ? cpus_for(nodes(), threads_of(options)) : std::vector<int>()),
        weights_(open_weights<Weights>(std::move(model), options, kernels, team_)),
        together_(*weights_.weights, kernels, &team_) {
    for (size_t i = 0; i < team_.size(); ++i) workers_.push_back(std::make_unique<Worker>(*weights_.weights, kernels));
    info_ = {"cpu", kernels.precision, kernels.name, team_.size(), config().max_length()};
  }

  const BackendInfo& info() const override { return info_; }

  Status forward(const Batch& batch, std::span<float> logits) override {
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    // Copies are looked for among sequences of one depth only.
    const bool full = std::all_of(batch.layers.begin(), batch.layers.end(), [](uint8_t layers) { return layers == 0; });
    if (!full) return compute(batch, logits);
    const std::vector<uint32_t> copy_of = find_copies(batch);
    std::vector<uint32_t> unique;  // the sequences that are not copies of an earlier one
    for (uint32_t s = 0; s < batch.size(); ++s) {
      if (copy_of[s] == s) unique.push_back(s);
    }
    if (unique.size() == batch.size()) return compute(batch, logits);
    unique_.assign(batch, unique);
    std::vector<float> results(unique.size());
    if (Status status = compute(unique_.view(), results); !status.ok()) return status;
    for (size_t i = 0; i < unique.size(); ++i) logits[unique[i]] = results[i];
    for (uint32_t s = 0; s < batch.size(); ++s) logits[s] = logits[copy_of[s]];
    return ok_status();
  }

  Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                          std::span<uint8_t> depths) override {
    if (exits_ == nullptr || contests.empty()) return Backend::forward_contests(batch, contests, logits, depths);
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    if (Status status = compute_others(batch, contests, logits, depths); !status.ok()) return status;
    return compete(batch, contests, logits, depths);
  }

  Status forward_with_states(const Batch& batch, std::span<float> logits, std::span<float> states) override {
    const size_t width = (config().layers - 1) * exit_width(config());
    return run(batch, [&](std::span<const uint32_t> group, Ops& ops, const Batch& sub) {
      std::vector<float> results(group.size()), behind(group.size() * width);
      encode_with_states(config(), sub, ops, results, behind);
      for (size_t i = 0; i < group.size(); ++i) {
        logits[group[i]] = results[i];
        std::copy_n(&behind[i * width], width, &states[group[i] * width]);
      }
    });
  }

 private:
  Status compute(const Batch& batch, std::span<float> logits) {
    return run(batch, [&](std::span<const uint32_t> group, Ops& ops, const Batch& sub) {
      std::vector<float> results(group.size());
      encode_to(config(), sub, ops, depth_of(config(), batch, group[0], exits_.get()), results);
      for (size_t i = 0; i < group.size(); ++i) logits[group[i]] = results[i];
    });
  }

  // The sequences that are in no contest.
  Status compute_others(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                        std::span<uint8_t> depths) {
    const std::vector<uint32_t> others = outside_contests(batch, contests, depths);
    if (others.empty()) return ok_status();
    unique_.assign(batch, others);
    const Batch part = unique_.view();
    std::vector<float> results(others.size());
    if (Status status = compute(part, results); !status.ok()) return status;
    for (size_t i = 0; i < others.size(); ++i) logits[others[i]] = results[i];
    return ok_status();
  }

  // Layer by layer, all contests side by side; at each exit the batch is packed anew without those who leave.
  Status compete(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                 std::span<uint8_t> depths) {
    const size_t hidden = config().hidden, width = exit_width(config());
    ContestRun contest(contests, *exits_);
    std::vector<float> rows(batch.tokens() * hidden);  // the state of every token that is still there, in its place
    size_t layer = 0;
    for (; layer + 1 < config().layers && contest.open(); ++layer) {
      std::vector<float> guesses(contest.alive().size());
      Status status = run_part(batch, contest.alive(), rows, [&](const Part& part, Ops& ops, const Batch& sub) {
        std::vector<float> pooled(sub.size() * width);
        encode_one_layer(config(), sub, ops, layer, part.rows, pooled);
        for (size_t i = 0; i < sub.size(); ++i) guesses[part.group[i]] = exits_->heads[layer].apply(&pooled[i * width]);
      });
      if (!status.ok()) return status;
      contest.drop(layer, guesses, logits, depths);
    }
    const std::vector<uint32_t>& alive = contest.alive();
    return run_part(batch, alive, rows, [&](const Part& part, Ops& ops, const Batch& sub) {
      std::vector<float> results(sub.size());
      encode_rest(config(), sub, ops, layer, part.rows, results);
      for (size_t i = 0; i < sub.size(); ++i) logits[alive[part.group[i]]] = results[i];
    });
  }

  // A group of some of the sequences, and the rows of its tokens end to end.
  struct Part {
    std::span<const uint32_t> group;  // positions among the sequences
    std::span<float> rows;
  };

  // body(part, ops, the part as a batch) for groups of `sequences`; what it leaves in its rows goes back to `rows`.
  template <class Body>
  Status run_part(const Batch& batch, const std::vector<uint32_t>& sequences, std::vector<float>& rows,
                  const Body& body) {
    if (sequences.empty()) return ok_status();
    const size_t hidden = config().hidden;
    unique_.assign(batch, sequences);
    const Batch part = unique_.view();
    return run(part, [&](std::span<const uint32_t> group, Ops& ops, const Batch& sub) {
      std::vector<float> own(sub.tokens() * hidden);
      const auto each_row = [&](const auto& copy) {
        for (size_t i = 0; i < group.size(); ++i) {
          copy(&rows[batch.offsets[sequences[group[i]]] * hidden], &own[sub.offsets[i] * hidden],
               sub.length(i) * hidden);
        }
      };
      each_row([](const float* all, float* one, size_t n) { std::copy_n(all, n, one); });
      body(Part{group, own}, ops, sub);
      each_row([](float* all, const float* one, size_t n) { std::copy_n(one, n, all); });
    });
  }

  // Groups of one depth each: body(group, ops, the group as a batch).
  template <class Body>
  Status run(const Batch& batch, const Body& body) {
    if (Status status = check_batch(config(), batch); !status.ok()) return status;
    Grouping grouping = share_out(batch.offsets, team_.size(), kGroupTokens);
    if (!batch.layers.empty()) split_by_depth(grouping, batch.layers);
    std::atomic<bool> out_of_memory{false};
    auto compute_one = [&](size_t g, Ops& ops, SubBatch& sub) {
      try {
        sub.assign(batch, grouping.groups[g]);
        body(std::span<const uint32_t>(grouping.groups[g]), ops, sub.view());
      } catch (const std::bad_alloc&) {
        out_of_memory = true;
      }
    };
    if (grouping.together) {
      for (size_t g = 0; g < grouping.groups.size(); ++g) compute_one(g, together_, workers_[0]->batch);
    } else {
      team_.run(grouping.groups.size(),
                [&](size_t g, size_t member) { compute_one(g, workers_[member]->ops, workers_[member]->batch); });
    }
    if (out_of_memory) {
      return absl::InternalError("cpu engine: out of memory for this batch; lower --max-batch-tokens");
    }
    return ok_status();
  }

  struct Worker {
    Worker(const Weights& weights, const KernelTable& kernels) : ops(weights, kernels, nullptr) {}
    Ops ops;
    SubBatch batch;
  };

  const ModelConfig& config() const { return weights_.weights->model->config; }

  std::shared_ptr<const Exits> exits_;  // may be null
  Team team_;
  StoredWeights<Weights> weights_;
  Ops together_;
  std::vector<std::unique_ptr<Worker>> workers_;
  SubBatch unique_;
  BackendInfo info_;
};

}  // namespace
}  // namespace cpu

Result<std::string> describe_cpu_backend(const Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  auto kernels = cpu::pick(cpu::with_precision_of(model, options));
  if (!kernels.ok()) return kernels.status();
  std::string text =
      str_cat((*kernels)->precision, ", kernel ", (*kernels)->name, ", ", cpu::threads_of(options), " thread(s)");
  for (const cpu::KernelTable* table : cpu::compiled_kernels()) {
    const std::string_view refusal = cpu::why_not(*table);
    const std::string said = str_cat("; not ", table->name, ": ", refusal);
    // A tier has a table for each of its precisions.
    if (!refusal.empty() && text.find(said) == std::string::npos) text += said;
  }
  return text;
}

Result<std::unique_ptr<Backend>> make_cpu_backend(std::shared_ptr<const Model> model, const BackendOptions& options) {
  if (!model->has_weights()) return model->no_weights;
  auto kernels = cpu::pick(cpu::with_precision_of(*model, options));
  if (!kernels.ok()) return kernels.status();
  try {
    if ((*kernels)->tiles != nullptr) {
      return std::make_unique<cpu::CpuBackend<cpu::TileWeights, cpu::TileOps>>(std::move(model), options, **kernels);
    }
    return std::make_unique<cpu::CpuBackend<cpu::CpuWeights, cpu::CpuOps>>(std::move(model), options, **kernels);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("cpu engine: not enough memory for the packed weights");
  }
}

}  // namespace rerank
