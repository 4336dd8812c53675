// Which numbers of rows products have. Pure.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace rerank::engine::cuda {

// The next of 64, 128, ... 1024, and from there on sixteen for each doubling: few shapes, each with an algorithm of its
// own, and at most a sixteenth of a large product is computed in vain. What lies after the last row is read by nobody.
inline uint32_t padded_rows(uint32_t rows) {
  const uint32_t step = std::max(64u, std::bit_floor(std::max(rows, 2u) - 1) / 16);
  return (rows + step - 1) / step * step;
}

// Of sequences, as launches count them: a power of two up to 64, so that small batches have little to skip.
inline uint32_t padded_sequences(uint32_t sequences) {
  return sequences <= 64 ? std::bit_ceil(sequences) : padded_rows(sequences);
}

// Graphs are for batches of at most four million numbers in the rows' states: their kernels run for some microseconds
// each, about as long as it takes to start one. Those of larger batches run longer, and are started while others run. A
// guess: not measured on a GPU.
inline bool worth_a_graph(size_t rows, size_t hidden) { return rows * hidden <= size_t{4} << 20; }

}  // namespace rerank::engine::cuda
