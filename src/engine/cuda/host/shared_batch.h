// A batch as the device gets it: where attention is causal, what sequences begin with together (engine/prefix_plan.h)
// comes once, before them, and each sequence is what it has behind that. Pure.
#pragma once

#include <vector>

#include "engine/batch.h"
#include "model/architecture.h"

namespace rerank::engine {

// Whether the keys and values of a token depend on the tokens before it alone, and the head reads the last token, which
// every sequence keeps for itself.
bool can_share_prefixes(const model::Architecture& architecture);

struct SharedBatch {
  OwnedBatch runs;               // the shared parts, then what is left of each sequence
  std::vector<uint32_t> behind;  // of each sequence: the part it goes on from, or UINT32_MAX
  uint32_t parts = 0;
  size_t saved = 0;  // tokens that need not be computed
};

SharedBatch share_prefixes(const Batch& batch);

}  // namespace rerank::engine
