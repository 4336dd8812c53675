#include "engine/cpu/vector/cpu_ops.h"

#include <algorithm>

#include "engine/experts.h"

namespace rerank::engine::cpu {
namespace {

// Rows taken through the feed-forward part together, if a product does not take more: their inner activations (192 x
// 4096 fp32 = 3 MB at most) stay near.
constexpr size_t kFeedForwardRows = 192;

}  // namespace

CpuOps::CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team)
    : SharedOps(weights, kernels, team), weights_(weights), position_scratch_(members()) {}

CpuOps::LinearJob CpuOps::whole(const PackedLinear& weights, const PaddedMatrix& a, size_t a_row, size_t rows,
                                PaddedMatrix& c, size_t c_row) const {
  return {.product = &weights.product(),
          .weights = &weights,
          .a = &a,
          .a_row = a_row,
          .rows = rows,
          .c = &c,
          .c_row = c_row,
          .first_panel = 0,
          .last_panel = weights.panels()};
}

void CpuOps::embed(const Batch& batch) {
  rows_ = batch.tokens();
  input_ = &stream_;
  const bool projected = weights_.projection.panels() != 0;
  PaddedMatrix& table_rows = projected ? normed_ : stream_;
  embed_rows(batch, table_rows);
  if (architecture().convolution) keep_embedded(rows_, [&](size_t row) { return stream_.row(row); });
  if (!projected) return;
  stream_.resize(rows_, architecture().hidden, columns());
  LinearJob job = whole(weights_.projection, table_rows, 0, rows_, stream_, 0);
  job.product = &kernels_.exact;
  run(job);
}

void CpuOps::norm_attention(size_t layer) {
  norm_rows(stream_, 0, rows_, weights_.layer(layer).attention_norm, normed_);
  input_ = &normed_;
}

void CpuOps::project(size_t layer, const Batch& batch, Rows rows) {
  const CpuLayer& packed = weights_.layer(layer);
  const PackedLinear& w = packed.query_key_value;
  attention_ = &attention(layer);
  layer_ = layer;
  in_chunks_ = false;
  const size_t panel = columns(), queries_width = query_width();
  projected_.resize(rows_, queries_width + 2 * key_width(), panel);
  LinearJob job = whole(w, *input_, 0, rows_, projected_, 0);
  if (rows == Rows::kScored) job.first_panel = queries_width / panel;
  run(job);
  if (rows == Rows::kScored) {
    // Keys and values of every row; queries of the scored rows only. A panel that straddles the border belongs to both.
    gather(batch, stream_, scored_stream_);
    if (input_ != &stream_) gather(batch, *input_, scored_input_);
    project_scored(layer, batch, input_ != &stream_ ? scored_input_ : scored_stream_);
  }
  if (packed.global_query.panels() != 0) {
    const size_t rows_of_keys = rows_;
    global_keys_.resize(rows_of_keys, 2 * key_width(), panel);
    run(whole(packed.global_key_value, *input_, 0, rows_of_keys, global_keys_, 0));
    gather(batch, *input_, first_rows_);  // the scored row is the first
    global_queries_.resize(batch.size(), queries_width, panel);
    run(whole(packed.global_query, first_rows_, 0, batch.size(), global_queries_, 0));
  }
  finish_heads(layer, batch, 0, rows_, rows == Rows::kAll);
  keep_keys(layer, batch, 0, rows_);
}

void CpuOps::project_scored(size_t layer, const Batch& batch, const PaddedMatrix& from) {
  const CpuLayer& packed = weights_.layer(layer);
  const size_t panel = columns(), queries_width = query_width(), d = attention_->head_size;
  scored_queries_.resize(batch.size(), queries_width, panel);
  const PackedLinear& own = packed.scored_query;
  LinearJob queries =
      whole(own.panels() != 0 ? own : packed.query_key_value, from, 0, batch.size(), scored_queries_, 0);
  queries.last_panel = (queries_width + panel - 1) / panel;
  run(queries);
  const bool rope = attention_->position == model::PositionKind::kRope;
  if (!rope && packed.query_norm.empty()) return;
  const float* angles = rope ? weights_.angles.at(attention_->rope).data() : nullptr;
  for (size_t s = 0; s < batch.size(); ++s) {
    const size_t position = start_of(s) + scored_row(architecture(), batch, s) - batch.offsets[s];
    finish_row(packed.query_norm, scored_queries_.row(s), attention_->heads, rope ? angles + position * d : nullptr);
  }
}

void CpuOps::keep_keys(size_t layer, const Batch& batch, size_t first, size_t count) {
  if (runs_.empty()) return;
  for (const auto& [s, begin, end] : parts_of(batch, first, count)) {
    if (runs_[s].keep == nullptr) continue;
    for (size_t row = begin; row < end; ++row) {
      std::copy_n(projected_.row(row - first) + query_width(), 2 * key_width(),
                  runs_[s].keep->row(layer, row - batch.offsets[s]));
    }
  }
}

void CpuOps::gather(const Batch& batch, const PaddedMatrix& from, PaddedMatrix& to) const {
  const size_t hidden = architecture().hidden;
  to.resize(batch.size(), hidden, columns());
  for (size_t s = 0; s < batch.size(); ++s)
    std::copy_n(from.row(scored_row(architecture(), batch, s)), hidden, to.row(s));
}

void CpuOps::select_rows(const Batch& batch, Rows rows) {
  if (rows == Rows::kAll) return;
  std::swap(stream_, scored_stream_);  // project() has gathered them
  rows_ = batch.size();
}

void CpuOps::add_attention(size_t layer) {
  const CpuLayer& w = weights_.layer(layer);
  add_sum(whole(w.attention_output, context_, 0, rows_, stream_, 0), w.attention_sum_norm);
  if (!order(layer).pre_norm) norm_rows(stream_, 0, rows_, w.attention_norm);
  input_ = &stream_;
}

void CpuOps::add_sum(LinearJob job, const CpuNorm& norm) {
  if (norm.empty()) {
    job.add_to_c = true;
    return run(job);
  }
  const size_t first = job.c_row, hidden = architecture().hidden;
  sum_.resize(job.rows, hidden, columns());
  job.c = &sum_;
  job.c_row = 0;
  run(job);
  norm_rows(sum_, 0, job.rows, norm);
  for (size_t r = 0; r < job.rows; ++r) {
    const float* from = sum_.row(r);
    float* to = stream_.row(first + r);
    for (size_t c = 0; c < hidden; ++c) to[c] += from[c];
  }
}

void CpuOps::norm_feed_forward(size_t layer) {
  norm_rows(stream_, 0, rows_, weights_.layer(layer).output_norm, normed_);
  input_ = &normed_;
}

void CpuOps::add_feed_forward(size_t layer) {
  add_feed_forward(layer, *input_, 0, rows_);
  input_ = &stream_;
}

void CpuOps::add_feed_forward(size_t layer, const PaddedMatrix& input, size_t first, size_t count) {
  if (feed_forward(layer).experts) return add_experts(layer, input, first, count);
  const PackedLinear& up = weights_.layer(layer).up;
  const size_t rows = std::max(kFeedForwardRows, up.product().block_rows(architecture().hidden));
  for (size_t row = 0; row < count; row += rows)
    feed_forward_rows(layer, input, row, first + row, std::min(rows, count - row));
}

void CpuOps::feed_forward_rows(size_t layer, const PaddedMatrix& input, size_t row, size_t stream_row, size_t rows) {
  const CpuLayer& w = weights_.layer(layer);
  const model::FeedForward& ff = feed_forward(layer);
  inner_.resize(rows, ff.width, columns());
  LinearJob up = whole(w.up, input, row, rows, inner_, 0);
  if (ff.gate == model::GateHalf::kNone) {
    up.activation = &ff.activation;
  } else {
    gate_.resize(rows, ff.width, columns());
    LinearJob gate = whole(w.gate, input, row, rows, gate_, 0);
    gate.activation = &ff.activation;
    run(gate);
    up.factor = &gate_;
  }
  run(up);
  add_sum(whole(w.down, inner_, 0, rows, stream_, stream_row), w.output_sum_norm);
  if (!order(layer).pre_norm) norm_rows(stream_, stream_row, rows, w.output_norm);
}

void CpuOps::add_experts(size_t layer, const PaddedMatrix& input, size_t first, size_t row_count) {
  const CpuLayer& w = weights_.layer(layer);
  const model::FeedForward& ff = feed_forward(layer);
  const size_t hidden = architecture().hidden;
  router_.resize(row_count, ff.experts->count, columns());
  run(whole(w.router, input, 0, row_count, router_, 0));
  std::vector<std::vector<ExpertShare>> rows(ff.experts->count);  // of each expert: row instead of expert
  std::vector<ExpertShare> chosen;
  for (size_t r = 0; r < row_count; ++r) {
    choose_experts(*ff.experts, {router_.row(r), ff.experts->count}, chosen);
    for (const auto& [expert, weight] : chosen) rows[expert].push_back({r, weight});
  }
  mixed_.resize(row_count, hidden, columns());
  for (size_t r = 0; r < row_count; ++r) {
    std::fill_n(mixed_.row(r), hidden, 0.0f);
    if (!w.experts_bias.empty()) std::copy_n(w.experts_bias.data(), hidden, mixed_.row(r));
  }
  for (size_t e = 0; e < rows.size(); ++e) {
    const size_t count = rows[e].size();
    if (count == 0) continue;
    const CpuExpert& expert = w.experts[e];
    expert_rows_.resize(count, hidden, columns());
    for (size_t i = 0; i < count; ++i) std::copy_n(input.row(rows[e][i].expert), hidden, expert_rows_.row(i));
    inner_.resize(count, ff.width, columns());
    LinearJob up = whole(expert.up, expert_rows_, 0, count, inner_, 0);
    if (ff.gate == model::GateHalf::kNone) {
      up.activation = &ff.activation;
    } else {
      gate_.resize(count, ff.width, columns());
      LinearJob gate = whole(expert.gate, expert_rows_, 0, count, gate_, 0);
      gate.activation = &ff.activation;
      run(gate);
      up.factor = &gate_;
    }
    run(up);
    sum_.resize(count, hidden, columns());
    run(whole(expert.down, inner_, 0, count, sum_, 0));
    for (size_t i = 0; i < count; ++i) {
      float* to = mixed_.row(rows[e][i].expert);
      for (size_t c = 0; c < hidden; ++c) to[c] += rows[e][i].weight * sum_.row(i)[c];
    }
  }
  for (size_t r = 0; r < row_count; ++r) {
    for (size_t c = 0; c < hidden; ++c) stream_.row(first + r)[c] += mixed_.row(r)[c];
  }
  if (!order(layer).pre_norm) norm_rows(stream_, first, row_count, w.output_norm);
}

void CpuOps::add_convolution(const Batch& batch, Rows rows) {
  const PaddedMatrix& convolved = convolve(batch, rows);
  each(rows_, [&](size_t row, size_t) {
    for (size_t c = 0; c < architecture().hidden; ++c) stream_.row(row)[c] += convolved.row(row)[c];
  });
  norm_rows(stream_, 0, rows_, weights_.convolution_norm);
}

void CpuOps::norm_final() { norm_rows(stream_, 0, rows_, weights_.final_norm); }

void CpuOps::save_state(const Batch& batch, std::span<float> out) {
  const size_t hidden = architecture().hidden;
  for (size_t row = 0; row < batch.tokens(); ++row) std::copy_n(stream_.row(row), hidden, &out[row * hidden]);
}

void CpuOps::load_state(const Batch& batch, std::span<const float> in) {
  const size_t hidden = architecture().hidden;
  rows_ = batch.tokens();
  input_ = &stream_;
  stream_.resize(rows_, hidden, columns());
  for (size_t row = 0; row < batch.tokens(); ++row) std::copy_n(&in[row * hidden], hidden, stream_.row(row));
}

void CpuOps::score(const Batch& batch, std::span<float> logits) {
  const model::ScoredRows scored = architecture().scoring.rows;
  if (scored == model::ScoredRows::kMeanOfLogits) return mean_logits(batch, stream_, logits);
  if (scored == model::ScoredRows::kMarked) return marked_vectors(batch, stream_, logits);
  if (scored != model::ScoredRows::kMean) return head_of(stream_, rows_, logits);
  mean_rows(
      batch, [&](size_t s, size_t i) { return stream_.row(batch.offsets[s] + i); }, scored_stream_);
  head_of(scored_stream_, batch.size(), logits);
}

}  // namespace rerank::engine::cpu
