// How the CPU engine computes a batch whose sequences share prefixes: level by level the parts that several of them
// begin with (engine/prefix_plan.h), whose keys and values are kept, then the tokens that each has of its own.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/batch.h"
#include "engine/cpu/kept_keys.h"
#include "engine/prefix_plan.h"
#include "model/architecture.h"

namespace rerank::engine::cpu {

class SharedPrefixes;

// One batch. The caller computes batch() after each next_level() that is true, and after finish_parts() the sequences.
class SharedPass {
 public:
  // Whether there is another level of parts to be computed. What the last one was is then kept.
  bool next_level();
  void finish_parts();

  // What is to be computed, and what each of its sequences stands after and keeps. Views of this object.
  Batch batch() const { return batch_; }
  std::span<const Run> runs() const { return runs_; }

 private:
  friend class SharedPrefixes;
  SharedPass(SharedPrefixes& prefixes, const Batch& whole, size_t layers);
  PrefixPlan plan() const;

  struct Part {
    KeptChain before;                // what is there already
    std::shared_ptr<KeptKeys> keys;  // what is to be computed; null: nothing
    KeptChain chain() const;
  };
  std::span<const int32_t> ids_of(const SharedPart& part) const;
  void prepare(size_t number);
  void clear();
  void add_run(size_t sequence, size_t begin, size_t end, const KeptChain& before, KeptKeys* keep);

  SharedPrefixes& prefixes_;
  const Batch whole_;
  const size_t layers_;
  const bool stored_;  // all layers: what is computed serves later batches
  PrefixPlan plan_;
  std::vector<Part> parts_;        // as the plan has them
  std::vector<KeptChain> before_;  // of sequences
  uint32_t level_ = 0;
  OwnedBatch batch_;
  std::vector<Run> runs_;
};

class SharedPrefixes {
 public:
  // `bytes` bounds what is kept for later batches, and what one batch keeps while it is computed, each; 0: nothing is
  // shared.
  SharedPrefixes(const model::Architecture& architecture, size_t bytes);

  bool enabled() const { return limits_.most_tokens > 0; }
  SharedPass begin(const Batch& batch, size_t layers) { return {*this, batch, layers}; }
  // Null where nothing is shared.
  std::shared_ptr<const PrefixCounters> counters() const { return enabled() ? counters_ : nullptr; }

 private:
  friend class SharedPass;
  // Where all layers are computed, what only other batches share is kept, too.
  PrefixLimits limits(size_t layers) const;
  // As Batch::shared_tokens. A sequence that shares nothing with others of its request may begin as earlier ones did:
  // with the template, an instruction, a query. What was seen before, and is more than the store has, is kept.
  std::vector<uint32_t> shared_tokens(const Batch& batch);

  const size_t layers_, width_;  // of all blocks; of a row of keys and values
  PrefixLimits limits_;
  PrefixStore store_;
  SeenBeginnings seen_;
  const std::shared_ptr<PrefixCounters> counters_ = std::make_shared<PrefixCounters>();
};

}  // namespace rerank::engine::cpu
