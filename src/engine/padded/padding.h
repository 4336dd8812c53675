// A ragged batch -> padded blocks, for engines whose graphs compute rectangles [rows, length]. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/batch.h"

namespace rerank::engine {

struct PaddedShape {
  size_t rows = 0, length = 0;
  size_t tokens() const { return rows * length; }
  bool operator==(const PaddedShape&) const = default;
};

struct PaddingRule {
  size_t length_step = 1;      // a block's length is a multiple of it, so that few different shapes occur
  size_t max_length = 0;       // no block is longer than that, whatever the step; 0: no limit
  size_t block_tokens = 4096;  // rows x length at most; a longer sequence is alone
  size_t block_cost = 32;      // what starting a block costs, in tokens: more blocks pad less
  size_t fixed_length = 0;     // where the graph was made for one length or one number of rows; 0: it was not
  size_t fixed_rows = 0;
  // Not empty: blocks are of these shapes only, whatever the rest says but block_cost. The longest must hold every
  // sequence.
  std::vector<PaddedShape> shapes;
};

struct PaddedBlock {
  std::vector<uint32_t> sequences;  // of the batch
  size_t rows = 0;                  // at least sequences.size(); rows after them are padding
  size_t length = 0;

  size_t tokens() const { return rows * length; }
};

// Blocks of similar lengths that cost least together: all that they compute, padding included, and block_cost for each.
// Longest first. At least `parts` blocks where there are enough sequences, for as many threads.
std::vector<PaddedBlock> share_out_padded(const Batch& batch, const PaddingRule& rule, size_t parts = 1);

// What a graph asks for of each token.
enum class TokenInput { kIds, kMask, kSegments, kPositions };

// What stands where no token is. Positions of tokens begin at `first_position`.
struct PadValues {
  int32_t id = 0;
  int32_t first_position = 0;
};

// Writes out[rows, length]. Rows without a sequence hold one padding token that the mask lets through: a row of nothing
// would make softmax divide by zero.
template <class T>
void fill_padded(const Batch& batch, const PaddedBlock& block, TokenInput input, const PadValues& pad, T* out) {
  for (size_t r = 0; r < block.rows; ++r, out += block.length) {
    const bool real = r < block.sequences.size();
    const size_t begin = real ? batch.offsets[block.sequences[r]] : 0;
    const size_t used = real ? batch.length(block.sequences[r]) : 1;
    for (size_t i = 0; i < block.length; ++i) {
      const bool token = i < used;
      switch (input) {
        case TokenInput::kIds:
          out[i] = static_cast<T>(token && real ? batch.ids[begin + i] : pad.id);
          break;
        case TokenInput::kMask:
          out[i] = static_cast<T>(token ? 1 : 0);
          break;
        case TokenInput::kSegments:
          out[i] = static_cast<T>(token && real ? batch.segments[begin + i] : 0);
          break;
        case TokenInput::kPositions:
          out[i] = static_cast<T>(token ? pad.first_position + static_cast<int32_t>(i) : pad.first_position);
          break;
      }
    }
  }
}

}  // namespace rerank::engine
