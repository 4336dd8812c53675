// Waist 2, the input side: a ragged batch of token sequences, end to end, without padding.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace rerank::engine {

class SeenOutputs;

// Of what sequences begin with: where computing it once saves fewer tokens, each computes its own.
inline constexpr size_t kLeastSharedTokens = 64;

// Views only; the caller owns the memory and keeps it until forward() returns.
struct Batch {
  std::span<const int32_t> ids;       // token ids of all sequences, end to end; each in [0, vocabulary)
  std::span<const int32_t> segments;  // token-type ids, as long as `ids`; each in [0, max(1, segment_rows))
  // size() + 1 entries: sequence i is ids[offsets[i], offsets[i + 1]); none is empty
  std::span<const uint32_t> offsets;
  std::span<const uint8_t> layers = {};  // per sequence the layers computed, 0: all; empty: all of all
  // Per sequence, how many of its first tokens sequences of other batches have, too, as those of the same request;
  // empty: not known. Where attention is causal, an engine may keep their keys and values for those batches.
  std::span<const uint32_t> shared_tokens = {};
  // Once it is true nobody wants the results any more: an engine may return Cancelled. null: never.
  const std::atomic<bool>* stop = nullptr;
  // Called between layers and between chunks of long sequences, on the thread that called forward(), where
  // BackendInfo::interruptible: meanwhile that thread may call forward() for other batches. Must not throw. null:
  // never.
  const std::function<void()>* between = nullptr;

  void interrupt() const {
    if (between != nullptr && !stopped()) (*between)();
  }
  bool stopped() const { return stop != nullptr && stop->load(std::memory_order_relaxed); }
  size_t size() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  size_t tokens() const { return ids.size(); }
  size_t length(size_t i) const { return offsets[i + 1] - offsets[i]; }
};

// A batch that owns its memory: made sequence by sequence. Views of it are good until it is changed.
struct OwnedBatch {
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets{0};
  std::vector<uint8_t> layers = {};          // one per sequence, or empty: all of all
  std::vector<uint32_t> shared_tokens = {};  // the same, or empty: not known

  size_t size() const { return offsets.size() - 1; }
  size_t tokens() const { return ids.size(); }
  size_t length(size_t i) const { return offsets[i + 1] - offsets[i]; }

  Batch view(const std::atomic<bool>* stop = nullptr) const {
    return {.ids = ids,
            .segments = segments,
            .offsets = offsets,
            .layers = layers,
            .shared_tokens = shared_tokens,
            .stop = stop};
  }
  operator Batch() const { return view(); }

  void clear() {
    ids.clear();
    segments.clear();
    layers.clear();
    shared_tokens.clear();
    offsets.assign(1, 0);
  }
  // `more_segments`: as long as `more`; empty: all of segment 0.
  void add(std::span<const int32_t> more, std::span<const int32_t> more_segments = {}) {
    ids.insert(ids.end(), more.begin(), more.end());
    segments.insert(segments.end(), more_segments.begin(), more_segments.end());
    segments.resize(ids.size());
    offsets.push_back(static_cast<uint32_t>(ids.size()));
  }
  // Sequence i of `batch`, which must not view this one, with its layers and shared tokens where it says them.
  void add(const Batch& batch, size_t i) {
    const auto begin = batch.offsets[i];
    add(batch.ids.subspan(begin, batch.length(i)), batch.segments.subspan(begin, batch.length(i)));
    if (!batch.layers.empty()) layers.push_back(batch.layers[i]);
    if (!batch.shared_tokens.empty()) shared_tokens.push_back(batch.shared_tokens[i]);
  }
  // Those sequences of `batch`, in that order.
  void assign(const Batch& batch, std::span<const uint32_t> sequences) {
    clear();
    for (uint32_t s : sequences) add(batch, s);
  }
};

// Sequences [first, first + size) of a batch compete: only the best `keep` of them are wanted.
struct Contest {
  uint32_t first = 0, size = 0, keep = 1;
  // How far below the best a guess must be for a competitor to leave, in errors of the exit that guesses.
  float margin = 0;
  // A logit that `keep` competitors elsewhere have reached already; a lowest float: none known.
  float floor = -3.4e38f;
  // Not 0: of a model with outputs after earlier layers (model::Scoring::first_output), whose logits are read instead
  // of exits. So many competitors go on after the first of them, after each later one evenly fewer, down to `keep`.
  // margin and floor say nothing then: logits of different layers do not compare.
  uint32_t stay = 0;
  // Of those: what competitors in other batches gave, whom they compete with, too (depth/seen_outputs.h). null: there
  // are no others.
  std::shared_ptr<SeenOutputs> seen;
};

}  // namespace rerank::engine
