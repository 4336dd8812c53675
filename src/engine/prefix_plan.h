// What sequences of a batch begin with together: where attention is causal, the keys and values of those tokens are the
// same for all of them and need be computed once. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/batch.h"

namespace rerank::engine {

// Tokens [begin, end) of a sequence, which others have too. After those of its parent, which ends at `begin`.
struct SharedPart {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t sequence = 0;  // one of those that begin so
  uint32_t begin = 0, end = 0;
  uint32_t parent = kNone;
  uint32_t level = 0;  // parents before it
};

struct PrefixPlan {
  std::vector<SharedPart> parts;  // parents before their children
  std::vector<uint32_t> part_of;  // of each sequence: the part that its own tokens follow, or kNone
  size_t saved = 0;               // tokens that need not be computed

  size_t own_begin(size_t sequence) const {
    return part_of[sequence] == SharedPart::kNone ? 0 : parts[part_of[sequence]].end;
  }
};

// A pass over the model's weights for fewer tokens is not worth it.
inline constexpr uint32_t kLeastKeptTokens = 16;

struct PrefixLimits {
  // A part saves at least so many tokens: each level of parts is a pass over the model's weights of its own.
  size_t least_saved = kLeastSharedTokens;
  size_t most_tokens = SIZE_MAX;  // of all parts: their keys and values are kept while the batch is computed
  uint32_t levels = 4;            // parts that may follow one another
  // Parts that save nothing in this batch are made of what sequences of other batches have, too (Batch::shared_tokens).
  bool for_others = false;
};

// Every sequence keeps at least its last token for itself.
PrefixPlan plan_prefixes(const Batch& batch, const PrefixLimits& limits);

}  // namespace rerank::engine
