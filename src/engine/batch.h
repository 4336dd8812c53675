// Waist 2, the input side: a ragged batch of token sequences, end to end, without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rerank {

// Views only; the caller owns the memory and keeps it until forward() returns.
struct Batch {
  std::span<const int32_t> ids;       // token ids of all sequences, end to end; each in [0, vocabulary)
  std::span<const int32_t> segments;  // token-type ids, as long as `ids`; each in [0, max(1, segment_rows))
  std::span<const uint32_t>
      offsets;  // size() + 1 entries: sequence i is ids[offsets[i], offsets[i + 1]); none is empty
  std::span<const uint8_t> layers = {};  // per sequence the layers computed, 0: all; empty: all of all

  size_t size() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  size_t tokens() const { return ids.size(); }
  size_t length(size_t i) const { return offsets[i + 1] - offsets[i]; }
};

// Sequences [first, first + size) of a batch compete: only the best `keep` of them are wanted.
struct Contest {
  uint32_t first = 0, size = 0, keep = 1;
  // How far below the best a guess must be for a competitor to leave, in errors of the exit that guesses.
  float margin = 0;
  // A logit that `keep` competitors elsewhere have reached already; a lowest float: none known.
  float floor = -3.4e38f;
};

}  // namespace rerank
