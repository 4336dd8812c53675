// Blocks of long causal sequences, some rows at a time. A chunk's keys and values are computed before those of later
// chunks are, and a token sees none after itself: so a chunk goes through the whole block, and the next one follows.
// As long as the group are the stream and one block's keys and values; activations are as long as a chunk. Sums are
// taken in the order of the whole group's, so results are the same, bit for bit. Tested by cpu/chunk_test.cc.
#include <algorithm>

#include "engine/cpu/vector/cpu_ops.h"

namespace rerank::engine::cpu {

bool CpuOps::takes_chunks(size_t layer) const {
  return rows_ > chunk_rows_ && order(layer).pre_norm && !architecture().convolution &&
         attention(layer).mask == model::MaskKind::kCausal;
}

void CpuOps::project_chunk(size_t layer, const Batch& batch, size_t first, size_t count, bool queries) {
  const CpuLayer& w = weights_.layer(layer);
  const bool normed = order(layer).attention_norm;
  if (normed) norm_rows(stream_, first, count, w.attention_norm, normed_);
  projected_.resize(count, query_width() + 2 * key_width(), columns());
  LinearJob job = whole(w.query_key_value, normed ? normed_ : stream_, normed ? 0 : first, count, projected_, 0);
  if (!queries) job.first_panel = query_width() / columns();
  run(job);
  finish_heads(layer, batch, first, count, queries);
  keep_keys(layer, batch, first, count);
  for (size_t r = 0; r < count; ++r)
    std::copy_n(projected_.row(r) + query_width(), 2 * key_width(), keys_.row(first + r));
}

bool CpuOps::keys_in_chunks(size_t layer, const Batch& batch) {
  if (!takes_chunks(layer)) return false;
  attention_ = &attention(layer);
  layer_ = layer;
  in_chunks_ = true;
  keys_.resize(rows_, 2 * key_width(), columns());
  for (size_t first = 0; first < rows_ && !batch.stopped(); first += chunk_rows_) {
    if (first != 0) batch.interrupt();
    project_chunk(layer, batch, first, std::min(chunk_rows_, rows_ - first), false);
  }
  return true;
}

bool CpuOps::compute_in_chunks(size_t layer, const Batch& batch, Rows rows) {
  if (rows == Rows::kScored) {
    if (!keys_in_chunks(layer, batch)) return false;
    gather(batch, stream_, scored_stream_);
    const bool normed = order(layer).attention_norm;
    if (normed) norm_rows(scored_stream_, 0, batch.size(), weights_.layer(layer).attention_norm, scored_input_);
    project_scored(layer, batch, normed ? scored_input_ : scored_stream_);
    attend(batch, rows);
    select_rows(batch, rows);
    add_attention(layer);
    norm_feed_forward(layer);
    add_feed_forward(layer);
    return true;
  }
  if (!takes_chunks(layer)) return false;
  const CpuLayer& w = weights_.layer(layer);
  attention_ = &attention(layer);
  layer_ = layer;
  in_chunks_ = true;
  keys_.resize(rows_, 2 * key_width(), columns());
  for (size_t first = 0; first < rows_ && !batch.stopped(); first += chunk_rows_) {
    const size_t count = std::min(chunk_rows_, rows_ - first);
    if (first != 0) batch.interrupt();
    project_chunk(layer, batch, first, count, true);
    make_attention_room(batch);
    context_.resize(count, query_width(), columns());
    attend_parts(batch, first, count, false);
    add_sum(whole(w.attention_output, context_, 0, count, stream_, first), w.attention_sum_norm);
    norm_rows(stream_, first, count, w.output_norm, normed_);
    add_feed_forward(layer, normed_, first, count);
  }
  input_ = &stream_;
  return true;
}

}  // namespace rerank::engine::cpu
