// Waist 2: Batch -> logits. The whole contract between scheduling and computing.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/batch.h"
#include "model/exits.h"
#include "model/weights.h"
#include "rerank/choice.h"
#include "rerank/status.h"

namespace rerank {
class Team;
}

namespace rerank::engine {

// "bf16"; of several "bf16+fp32".
template <IsChoice E>
std::string joined_words(const std::vector<E>& values) {
  std::string words;
  for (const E value : values) words.append(words.empty() ? "" : "+").append(word_of(value));
  return words;
}

// Fixed for the life of a backend.
struct BackendInfo {
  // One; of a backend of several devices all that are among them, each once.
  std::vector<EngineKind> engines = {};
  std::vector<Precision> precisions = {};
  std::string kernel;  // what multiplies, as the engine calls it, to show: "avx512", "sm_90, wgmma", "ort-1.31.1-cpu"
  size_t threads = 1;
  size_t max_length = 0;  // longest sequence accepted
  bool pads = false;      // computes every sequence of a batch at the length of the longest: similar lengths, please
  double padding_budget = 0.25;  // where it pads: how much shorter than the longest another sequence may be
  size_t length_step = 1;        // lengths cost as much as the next multiple of it
  bool depth = true;             // computes fewer layers for sequences that ask for it
  bool interruptible = false;    // Batch::between is called: a batch may be computed in the midst of another
  bool offloads = false;         // computes on a device of its own: the host's cores are free meanwhile
  // Calls of forward() and forward_contests() that may be under way at once. Above 1: batches are computed one after
  // another, as they come, but the next is taken in while one is computed.
  size_t batches_in_flight = 1;
  size_t batch_tokens = 0;    // of one batch, by the device's memory: more are computed in pieces; 0: no bound known
  uint64_t packed_bytes = 0;  // of weights in memory of its own, which no other process shares; 0: none
  std::vector<std::string> files = {};  // what scores depend on besides the folder's config, tokenizer and weights

  std::string engine_text() const { return joined_words(engines); }  // "cpu", "cuda+cpu"
  std::string precision_text() const { return joined_words(precisions); }
};

// One of the devices of a backend that has several; outlives it where it is held. Thread-safe.
struct DeviceState {
  std::string name;
  std::atomic<bool> up = true;  // false: taken out for good
};

// Tokens that an engine did not compute, since sequences begin alike (engine/prefix_plan.h); all rise but kept_bytes.
struct PrefixCounters {
  std::atomic<uint64_t> computed_tokens = 0;  // of all sequences and of what they share
  std::atomic<uint64_t> shared_tokens = 0;    // not computed, since another sequence of the batch begins with them
  std::atomic<uint64_t> kept_tokens = 0;      // not computed, since an earlier batch did
  std::atomic<uint64_t> kept_bytes = 0;       // of keys and values that are kept for batches to come
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const BackendInfo& info() const = 0;

  // Empty: it is one device.
  virtual std::vector<std::shared_ptr<const DeviceState>> devices() const { return {}; }

  // Computes one logit per sequence (z0 of a one-label model, z1 - z0 of a two-label one) into logits[0, batch.size()).
  // Ids, segments and lengths are checked by check_batch(); what it refuses is InvalidArgument and computes nothing.
  // Cancelled where batch.stop became true; an engine that does not look at it computes on.
  // Of a model whose head reads marked tokens (model::ScoredRows::kMarked) there are no logits but vectors:
  // scoring.labels floats for each marked token, in their order (engine/encoder.h, result_count()). Called by at most
  // info().batches_in_flight threads at a time. A sequence's logit does not depend on what else is in the batch. Of a
  // sequence with fewer layers than the model has, the logit is that of the layer's exit head, where the backend was
  // opened with exits; else the model's own head reads that layer.
  virtual Status forward(const Batch& batch, std::span<float> logits) = 0;

  // Since it was opened; null: this engine, or this model, shares nothing.
  virtual std::shared_ptr<const PrefixCounters> prefix_counters() const { return nullptr; }

  // As forward(), but a competitor whose logit, as an exit guesses it, is the contest's margin below what others have
  // reached leaves there (engine/depth/contests.h); its logit is the guess. Everybody else's is that of the full depth,
  // bit for bit. depths[size] says how many layers each was computed to, 0: all. Contests are disjoint and in rising
  // order; the batch gives competitors no layers of their own. An engine without exits computes everybody to the full
  // depth.
  virtual Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                                  std::span<uint8_t> depths);

  // Besides, what exits read: states[size, layers of the model - 1, exit_width()], pooled (engine/depth/pooling.h)
  // after each layer but the last. All layers are computed.
  virtual Status forward_with_states(const Batch&, std::span<float>, std::span<float>) {
    return absl::UnimplementedError(info().engine_text() + ": this engine does not show what is between its layers");
  }
};

struct BackendOptions {
  Precision precision = Precision::kAuto;
  KernelTier kernel = KernelTier::kAuto;
  size_t threads = 0;                         // 0: as many as this process may use
  std::shared_ptr<Team> team;                 // what the cpu engine computes with; null: threads of its own
  std::shared_ptr<const model::Exits> exits;  // null: none
  // Engines that run exported graphs; see rerank/options.h.
  std::string onnx_file, onnxruntime_library, onnx_provider, torchscript_file;
  bool onnx_split = true;
  // The cpu engine's; see rerank/options.h.
  bool pin_threads = false;
  std::string weight_cache;  // empty: none
  size_t weight_cache_bytes = 0;
  size_t prefix_bytes = size_t{256} << 20;
  // Of causal models: longer sequences go through a block so many tokens at a time. Enough that keys are packed anew
  // seldom, and that a chunk's activations are some megabytes. No setting: results are the same; tests take fewer.
  size_t chunk_tokens = 1024;
  uint64_t other_weights = 0;  // bytes that the packed weights of the process's other models take
  std::string tuning_cache;    // the cuda engine's folder; empty: none
  bool cuda_graphs = true;
  bool cuda_overlap = true;  // two batches in flight
  size_t cuda_candidates = 8;
  bool cuda_wgmma = true;
  bool fp8_fast_accumulation = false;
  // The pjrt engine's; see rerank/options.h.
  std::string pjrt_plugin, pjrt_options, pjrt_shapes;
  std::string pjrt_cache;  // empty: none
  size_t pjrt_cache_bytes = 0;
  size_t max_length = 0;  // longest pair that the operator wants scored; 0: as the model says
  std::string devices;    // as rerank/options.h has it; what open_backend() reads
  size_t device = 0;      // the number of a GPU
};

// Every id, segment and length within what the architecture allows, offsets rising from 0 to tokens().
Status check_batch(const model::Architecture& architecture, const Batch& batch);

// Unimplemented when a sequence asks for fewer layers than all: for engines that cannot.
Status check_full_depth(const model::Architecture& architecture, const Batch& batch, std::string_view engine);

}  // namespace rerank::engine
