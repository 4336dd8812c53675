// What few families of encoders need: windows with a global first token (Longformer), and a convolution (DeBERTa-v2).
#pragma once

#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

// to[firsts[s]] = from[s], rows of `width`. Sequences that fill up a class of batches, which are row 0 alone, are
// passed over: row 0 is the first one's.
template <class T>
void put_first_rows(const T* from, const uint32_t* firsts, T* to, uint32_t sequences, uint32_t width,
                    cudaStream_t stream);

// to [rows, count x width]: the rows of `from` around each, `count` of them (odd) with itself in the middle; zeros
// where they are another sequence's. places: of all rows of `from`, each one's position in its sequence. which: of each
// of `rows` its row of `from`; null: itself.
template <class T>
struct Surroundings {
  const T* from;
  const uint32_t *places, *which;
  T* to;
  uint32_t total, width, count;  // total: rows of `from`
};
template <class T>
void gather_around(const Surroundings<T>& around, uint32_t rows, cudaStream_t stream);

}  // namespace rerank::engine::cuda
