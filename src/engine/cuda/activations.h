// What the layers of one batch read and write on the device. They grow, and never shrink but by release().
#pragma once

#include <algorithm>
#include <utility>

#include "engine/cuda/device.h"

namespace rerank::cuda {

// Rows of a product come in steps of 64: few shapes, each with a plan of its own. What lies behind the last row is
// computed in vain, and read by nobody.
inline uint32_t padded_rows(uint32_t rows) { return div_up(rows, 64) * 64; }

template <class T>
struct Activations {
  DeviceBuffer<float> exact;  // the residual stream [rows, hidden]
  DeviceBuffer<T> rounded;    // the same, for products
  DeviceBuffer<T> product, context, qkv, inner;
  DeviceBuffer<float> first_exact;  // first rows [sequences, hidden], of the last layer
  DeviceBuffer<T> first_rounded, first_queries;
  DeviceBuffer<float> dense, logits;  // of the head
  DeviceBuffer<float> spare, pooled;  // where rows move to when sequences leave; what exits read

  // Room for a whole batch; `spare` and `pooled` have theirs where they are needed.
  void reserve(const ModelSpec& m, uint32_t tokens, uint32_t sequences) {
    const size_t rows = padded_rows(tokens), first_rows = padded_rows(sequences);
    const size_t widest = std::max(m.hidden, m.embedding);
    exact.resize(rows * widest);
    rounded.resize(rows * widest);
    product.resize(rows * widest);
    context.resize(rows * m.hidden);
    qkv.resize(rows * 3 * m.hidden);
    inner.resize(rows * m.intermediate);
    first_exact.resize(first_rows * m.hidden);
    first_rounded.resize(first_rows * m.hidden);
    first_queries.resize(first_rows * m.hidden);
    dense.resize(first_rows * m.hidden);
    logits.resize(sequences);
  }

  // So that after a batch that was too large a smaller one finds room.
  void release() {
    for (DeviceBuffer<float>* buffer : {&exact, &first_exact, &spare, &pooled, &dense, &logits}) *buffer = {};
    for (DeviceBuffer<T>* buffer : {&rounded, &first_rounded, &first_queries, &product, &context, &qkv, &inner})
      *buffer = {};
  }
};

}  // namespace rerank::cuda
