// An engine that computes a batch block by block, so that sequences can leave between blocks. What stops where, and
// what is read there, is decided above it: engine/depth/layered_backend.h makes a Backend of it.
#pragma once

#include <cstdint>
#include <span>

#include "engine/backend.h"
#include "engine/batch.h"
#include "rerank/status.h"

namespace rerank::engine {

// A batch goes: start, any number of step and keep, launch, finish. Up to launch() there is one batch at a time;
// finish() may come after the start of the next one, and be called by another thread. Where info().interruptible,
// launch() calls Batch::between, and within that other batches are started and finished. After a failure of any of them
// start() begins the next batch; after ResourceExhausted a smaller batch may fit.
class LayeredEngine {
 public:
  virtual ~LayeredEngine() = default;

  virtual const BackendInfo& info() const = 0;

  virtual std::shared_ptr<const PrefixCounters> prefix_counters() const { return nullptr; }

  // `slot` is below info().batches_in_flight, of no batch that is to be finished yet. What the batch views stays as it
  // is until finish() has returned.
  virtual Status start(uint32_t slot, const Batch& batch) = 0;
  // The next block, of all rows. pooled [sequences, exit_width()]: what exits read after it (engine/depth/pooling.h);
  // empty: nobody reads it.
  virtual Status step(std::span<float> pooled) = 0;
  // The next block, of all rows, of a model that has an output of its own after it (model::Scoring::first_output):
  // logits [sequences], what launch() of so many blocks would give. The batch goes on. Not in one batch with a step()
  // that pools.
  virtual Status step_to_output(std::span<float> logits) = 0;
  // Goes on with some of the sequences, not none: rising numbers among those that are there.
  virtual Status keep(std::span<const uint32_t> sequences) = 0;
  // The blocks that are left of the first `layers`, at least one, and the model's head.
  virtual Status launch(size_t layers) = 0;
  // Waits for the batch in the slot: logits of the sequences that were kept.
  virtual Status finish(uint32_t slot, std::span<float> logits) = 0;
};

}  // namespace rerank::engine
