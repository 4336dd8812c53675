// What the layers of one batch read and write on the device. They grow, and never shrink but by release().
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/cuda/batch_input.h"
#include "engine/cuda/device_model.h"
#include "engine/cuda/kernels/experts.h"

namespace rerank::engine::cuda {

// The residual stream [rows, hidden], and the same for products. Before a projection it is as wide as the embedding.
template <class T>
struct States {
  DeviceBuffer<float> exact;
  DeviceBuffer<T> rounded;

  // visit(buffer, numbers that it holds of so many rows)
  template <class Visit>
  void each(const Shape& m, size_t rows, const Visit& visit) {
    visit(exact, rows * std::max(m.hidden, m.embedding));
    visit(rounded, rows * m.hidden);
  }
  // to[i] = row which[i].
  void gather(const Shape& m, const uint32_t* which, uint32_t rows, States& to, cudaStream_t stream) const {
    gather_rows(exact.data(), which, to.exact.data(), rows, m.hidden, stream);
    gather_rows(rounded.data(), which, to.rounded.data(), rows, m.hidden, stream);
  }
};

// What lies between two products of a layer.
template <class T>
struct Scratch {
  DeviceBuffer<T> product, inner, both;  // both: gate and up side by side

  template <class Visit>
  void each(const Shape& m, size_t rows, const Visit& visit) {
    visit(product, rows * std::max(m.hidden, m.embedding));
    visit(inner, rows * m.intermediate);
    if (m.gated) visit(both, rows * 2 * m.intermediate);
  }
};

// Of a row.
inline uint32_t query_width(const ModelSpec& m) { return m.heads * m.head_size; }
inline uint32_t key_width(const ModelSpec& m) { return m.kv_heads * m.head_size; }

// Of a feed-forward of experts; T: of its products.
template <class T>
struct ExpertBuffers {
  DeviceBuffer<float> input, scores, share;  // input: of the router, where it is not the stream itself
  DeviceBuffer<uint32_t> expert, place, count, row_at, expert_at;
  DeviceBuffer<T> both, inner, out, sum;

  template <class Visit>
  void each(const Shape& m, size_t rows, const Visit& visit) {
    const size_t tiles = expert_tiles(static_cast<uint32_t>(rows), m.chosen, m.experts), places = tiles * kExpertTile;
    visit(input, rows * m.hidden);
    visit(scores, rows * m.experts);
    visit(share, rows * m.chosen);
    visit(expert, rows * m.chosen);
    visit(place, rows * m.chosen);
    visit(count, m.experts);
    visit(row_at, places);
    visit(expert_at, tiles);
    if (m.gated) visit(both, places * 2 * m.intermediate);
    visit(inner, places * m.intermediate);
    visit(out, places * m.hidden);
    visit(sum, rows * m.hidden);
  }
  Choices choices(const ModelSpec& m, uint32_t rows) const {
    return {.rows = rows,
            .experts = m.experts,
            .chosen = m.chosen,
            .tiles = expert_tiles(rows, m.chosen, m.experts),
            .normalized = m.normalized_shares != 0,
            .expert = expert.data(),
            .share = share.data(),
            .place = place.data(),
            .count = count.data(),
            .row_at = row_at.data(),
            .expert_at = expert_at.data()};
  }
};

template <class T>
struct Activations {
  States<T> states;
  Scratch<T> scratch;
  DeviceBuffer<Value<T>> context, qkv;
  States<T> scored;  // the rows that the head reads, of the last layer
  DeviceBuffer<Value<T>> scored_queries;
  DeviceBuffer<float> marked;  // the stream of marked tokens
  DeviceBuffer<float> dense;   // of the head
  DeviceBuffer<float> logits;  // of each row, where a sequence's is their mean
  States<T> spare;             // where rows move to when sequences leave
  DeviceBuffer<Value<T>> global_queries, global_context, global_key_value;  // of global first tokens
  DeviceBuffer<Value<T>> embedded, spare_embedded, around, convolved;       // of a convolution
  ExpertBuffers<Value<T>> experts;
  DeviceBuffer<float> pooled;  // what exits read

  // Room for a whole batch, with so many rows of prefixes after its own. Where there is not enough, batches before
  // this one must be done with what there is.
  void reserve(const Shape& m, const BatchInput::Counts& counts, uint32_t prefix_rows, cudaStream_t stream) {
    bool enough = true;
    const auto look = [&](const auto& buffer, size_t count) { enough = enough && count <= buffer.capacity(); };
    each(m, counts, look, prefix_rows);
    if (enough) return;
    check(cudaStreamSynchronize(stream), "before buffers grow");
    each(m, counts, kResize, prefix_rows);
  }

  // Room for what only exits need, of a batch that was reserved, or of a part of it.
  void reserve_spare(const Shape& m, uint32_t tokens) { spare.each(m, padded_rows(tokens), kResize); }
  void reserve_pooled(const Shape& m, uint32_t sequences) { pooled.resize(size_t{sequences} * 3 * m.hidden); }

  // Of all buffers, once there was such a batch.
  static size_t bytes(const Shape& m, const BatchInput::Counts& counts) {
    size_t sum = 0;
    const auto add = [&](const auto& buffer, size_t count) { sum += count * sizeof(*buffer.data()); };
    Activations all;
    all.each(m, counts, add);
    if (m.scored == Scored::kMarked) return sum;  // nothing leaves such a batch, and nothing is pooled
    all.spare.each(m, padded_rows(counts.tokens), add);
    add(all.pooled, size_t{counts.sequences} * 3 * m.hidden);
    return sum;
  }

  // Where its buffers lie: what launches of a whole batch are given.
  void add_addresses(const Shape& m, std::vector<const void*>& to) {
    each(m, {}, [&](const auto& buffer, size_t) { to.push_back(buffer.data()); });
  }

  // So that after a batch that was too large a smaller one finds room.
  void release() { *this = {}; }

 private:
  static constexpr auto kResize = [](auto& buffer, size_t count) { buffer.resize(count); };

  // The one list of what a whole batch needs. Prefixes that are put together take no more rows than the batch has fewer
  // for them, so they are not counted when memory is shared out.
  template <class Visit>
  void each(const Shape& m, const BatchInput::Counts& counts, const Visit& visit, size_t prefix_rows = 0) {
    const size_t rows = padded_rows(counts.tokens), scored_rows = padded_rows(counts.sequences);
    states.each(m, rows, visit);
    scratch.each(m, rows, visit);
    visit(context, rows * query_width(m));
    visit(qkv, (rows + prefix_rows) * (query_width(m) + 2 * key_width(m)));
    const bool all = m.scored == Scored::kMeanOfLogits;
    if (m.scored == Scored::kMarked) {  // no block computes fewer rows
      const size_t marked_rows = padded_rows(counts.marked);
      visit(marked, marked_rows * m.hidden);
      visit(dense, marked_rows * m.head_dense.out);
    } else {
      scored.each(m, scored_rows, visit);
      visit(scored_queries, scored_rows * query_width(m));
      visit(dense, (all ? rows : scored_rows) * m.hidden);
    }
    visit(logits, all ? rows : 0);
    if (m.global_first) {
      visit(global_queries, scored_rows * query_width(m));
      visit(global_context, scored_rows * query_width(m));
      visit(global_key_value, rows * 2 * key_width(m));
    }
    if (m.convolution.out > 0) {
      visit(embedded, rows * m.hidden);
      visit(spare_embedded, rows * m.hidden);
      visit(around, rows * m.convolution.in);
      visit(convolved, rows * m.hidden);
    }
    if (m.experts > 0) experts.each(m, rows, visit);
  }
};

}  // namespace rerank::engine::cuda
