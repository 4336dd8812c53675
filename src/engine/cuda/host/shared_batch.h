// A batch as the device gets it: where attention is causal, what sequences begin with together (engine/prefix_plan.h)
// comes once, before them, and each sequence is what it has after that. What an earlier batch has kept does not come
// at all. Pure.
#pragma once

#include <vector>

#include "engine/batch.h"
#include "engine/cuda/host/kept_prefixes.h"
#include "model/architecture.h"

namespace rerank::engine {

// Whether the keys and values of a token depend on the tokens before it alone, and the head reads the last token, which
// every sequence keeps for itself.
bool can_share_prefixes(const model::Architecture& architecture);

// As cuda::BatchSpec has it.
struct SharedBatch {
  OwnedBatch runs;               // the shared parts, then what is left of each sequence
  std::vector<uint32_t> behind;  // of each sequence: the part it goes on from, or UINT32_MAX
  uint32_t parts = 0;
  std::vector<uint32_t> prefix_rows;                   // of prefixes that are put together
  std::vector<uint32_t> prefix_begins, prefix_counts;  // of each run
  std::vector<uint32_t> keep_rows, keep_slots;
  size_t saved = 0;  // tokens that need not be computed, since another sequence begins with them
  size_t kept = 0;   // ... since an earlier batch has
};

// kept: what earlier batches have, and where this one's goes; null: nothing is kept.
SharedBatch share_prefixes(const Batch& batch, KeptPrefixes* kept);
// For a library of a minor version before 2: nothing is put together, so only one part comes before a sequence.
SharedBatch share_first_prefixes(const Batch& batch);

}  // namespace rerank::engine
