// What the layers of one batch read and write on the device. They grow, and never shrink but by release().
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/cuda/device.h"
#include "engine/cuda/row_classes.h"

namespace rerank::cuda {

template <class T>
struct Activations {
  DeviceBuffer<float> exact;  // the residual stream [rows, hidden]
  DeviceBuffer<T> rounded;    // the same, for products
  DeviceBuffer<T> product, context, qkv, inner;
  DeviceBuffer<float> first_exact;  // first rows [sequences, hidden], of the last layer
  DeviceBuffer<T> first_rounded, first_queries;
  DeviceBuffer<float> dense, logits;  // of the head
  DeviceBuffer<float> spare, pooled;  // where rows move to when sequences leave; what exits read

  // Room for a whole batch.
  void reserve(const ModelSpec& m, uint32_t tokens, uint32_t sequences) {
    each(m, tokens, sequences, [](auto& buffer, size_t count) { buffer.resize(count); });
  }

  // Room for what only exits need, of a batch that was reserved, or of a part of it.
  void reserve_spare(const ModelSpec& m, uint32_t tokens) { spare.resize(rows_of(m, tokens)); }
  void reserve_pooled(const ModelSpec& m, uint32_t sequences) { pooled.resize(size_t{sequences} * 3 * m.hidden); }

  // Of all buffers, once there was such a batch.
  static size_t bytes(const ModelSpec& m, uint32_t tokens, uint32_t sequences) {
    size_t sum = (rows_of(m, tokens) + size_t{sequences} * 3 * m.hidden) * sizeof(float);
    const auto add = [&](const auto& buffer, size_t count) { sum += count * sizeof(*buffer.data()); };
    Activations().each(m, tokens, sequences, add);
    return sum;
  }

  // Where its buffers lie: what launches of a whole batch are given.
  void add_addresses(const ModelSpec& m, std::vector<const void*>& to) {
    each(m, 0, 0, [&](const auto& buffer, size_t) { to.push_back(buffer.data()); });
  }

  // So that after a batch that was too large a smaller one finds room.
  void release() { *this = {}; }

 private:
  static size_t rows_of(const ModelSpec& m, uint32_t tokens) {
    return size_t{padded_rows(tokens)} * std::max(m.hidden, m.embedding);
  }

  // The one list of what a whole batch needs.
  template <class Visit>
  void each(const ModelSpec& m, uint32_t tokens, uint32_t sequences, const Visit& visit) {
    const size_t rows = padded_rows(tokens), first_rows = padded_rows(sequences);
    visit(exact, rows_of(m, tokens));
    visit(rounded, rows_of(m, tokens));
    visit(product, rows_of(m, tokens));
    visit(context, rows * m.hidden);
    visit(qkv, rows * 3 * m.hidden);
    visit(inner, rows * m.intermediate);
    visit(first_exact, first_rows * m.hidden);
    visit(first_rounded, first_rows * m.hidden);
    visit(first_queries, first_rows * m.hidden);
    visit(dense, first_rows * m.hidden);
    visit(logits, first_rows);
  }
};

}  // namespace rerank::cuda
