#include "engine/cpu/vector/cpu_ops.h"

#include <algorithm>
#include <cmath>

#include "engine/attention_pattern.h"

namespace rerank::engine::cpu {
namespace {

// Rows taken through the feed-forward part together: their inner activations (192 x 4096 fp32 = 3 MB at most) stay
// near.
constexpr size_t kFeedForwardRows = 192;

}  // namespace

CpuOps::CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team)
    : SharedOps(weights, kernels, team), weights_(weights) {}

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
  if (!projected) return;
  stream_.resize(rows_, architecture().hidden, columns());
  LinearJob job = whole(weights_.projection, table_rows, 0, rows_, stream_, 0);
  job.product = &kernels_.exact;
  run(job);
}

void CpuOps::norm_attention(size_t layer) {
  norm_rows(stream_, rows_, weights_.layers[layer].attention_norm, normed_);
  input_ = &normed_;
}

void CpuOps::project(size_t layer, const Batch& batch, Rows rows) {
  const PackedLinear& w = weights_.layers[layer].query_key_value;
  attention_ = &attention(layer);
  const size_t panel = columns(), hidden = architecture().hidden;
  projected_.resize(rows_, 3 * hidden, panel);
  LinearJob job = whole(w, *input_, 0, rows_, projected_, 0);
  if (rows == Rows::kScored) job.first_panel = hidden / panel;
  run(job);
  if (rows == Rows::kScored) {
    // Keys and values of every row; queries of the scored rows only. A panel that straddles the border belongs to both.
    gather(batch, stream_, scored_stream_);
    if (input_ != &stream_) gather(batch, *input_, scored_input_);
    scored_queries_.resize(batch.size(), hidden, panel);
    const PackedLinear& own = weights_.layers[layer].scored_query;
    const PaddedMatrix& from = input_ != &stream_ ? scored_input_ : scored_stream_;
    LinearJob queries = whole(own.panels() != 0 ? own : w, from, 0, batch.size(), scored_queries_, 0);
    queries.last_panel = (hidden + panel - 1) / panel;
    run(queries);
  }
  if (attention_->position == model::PositionKind::kRope) apply_rope(batch, rows, weights_.angles.at(attention_->rope));
}

void CpuOps::gather(const Batch& batch, const PaddedMatrix& from, PaddedMatrix& to) const {
  const size_t hidden = architecture().hidden;
  to.resize(batch.size(), hidden, columns());
  for (size_t s = 0; s < batch.size(); ++s)
    std::copy_n(from.row(scored_row(architecture(), batch, s)), hidden, to.row(s));
}

// Scored queries are at position 0, where the angle is 0.
void CpuOps::apply_rope(const Batch& batch, Rows rows, const std::vector<float>& angles) {
  const size_t heads = attention_->heads, d = attention_->head_size;
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i) {
      float* row = projected_.row(batch.offsets[s] + i);
      if (rows == Rows::kAll) kernels_.rotate(row, heads, d, &angles[i * d]);
      kernels_.rotate(row + heads * d, heads, d, &angles[i * d]);
    }
  });
}

void CpuOps::attend(const Batch& batch, Rows rows) {
  const size_t heads = attention_->heads, d = attention_->head_size, hidden = architecture().hidden;
  size_t longest = 0;
  for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, batch.length(s));
  for (auto& scratch : scratch_) scratch.resize(kernels_.attention_scratch(longest, d));
  const bool scored = rows == Rows::kScored;
  context_.resize(scored ? batch.size() : rows_, hidden, columns());
  each(batch.size() * heads, [&](size_t task, size_t member) {
    const size_t s = task / heads, column = task % heads * d, row = batch.offsets[s];
    AttentionArgs args;
    args.queries = scored ? scored_queries_.row(s) + column : projected_.row(row) + column;
    args.query_stride = scored ? scored_queries_.stride() : projected_.stride();
    args.query_rows = scored ? 1 : batch.length(s);
    args.keys = projected_.row(row) + hidden + column;
    args.values = projected_.row(row) + 2 * hidden + column;
    args.key_stride = projected_.stride();
    args.length = batch.length(s);
    args.head_size = d;
    args.scale = 1 / std::sqrt(static_cast<float>(d));
    args.window = attention_->mask == model::MaskKind::kWindow ? attention_->window : 0;
    if (attention_->position == model::PositionKind::kAlibi) args.slope = alibi_slope(heads, task % heads);
    args.context = context_.row(scored ? s : row) + column;
    args.context_stride = context_.stride();
    args.scratch = scratch_[member].data();
    kernels_.attention(args);
  });
}

void CpuOps::select_rows(const Batch& batch, Rows rows) {
  if (rows == Rows::kAll) return;
  std::swap(stream_, scored_stream_);  // project() has gathered them
  rows_ = batch.size();
}

void CpuOps::add_attention(size_t layer) {
  const CpuLayer& w = weights_.layers[layer];
  LinearJob job = whole(w.attention_output, context_, 0, rows_, stream_, 0);
  job.add_to_c = true;
  run(job);
  if (!order(layer).pre_norm) norm_rows(stream_, 0, rows_, w.attention_norm);
  input_ = &stream_;
}

void CpuOps::norm_feed_forward(size_t layer) {
  norm_rows(stream_, rows_, weights_.layers[layer].output_norm, normed_);
  input_ = &normed_;
}

void CpuOps::add_feed_forward(size_t layer) {
  const PaddedMatrix& input = *input_;
  for (size_t row = 0; row < rows_; row += kFeedForwardRows)
    feed_forward_rows(layer, input, row, std::min(kFeedForwardRows, rows_ - row));
  input_ = &stream_;
}

void CpuOps::feed_forward_rows(size_t layer, const PaddedMatrix& input, size_t row, size_t rows) {
  const CpuLayer& w = weights_.layers[layer];
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
  LinearJob down = whole(w.down, inner_, 0, rows, stream_, row);
  down.add_to_c = true;
  run(down);
  if (!order(layer).pre_norm) norm_rows(stream_, row, rows, w.output_norm);
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
  if (architecture().scoring.rows != model::ScoredRows::kMean) return head_of(stream_, rows_, logits);
  mean_rows(
      batch, [&](size_t s, size_t i) { return stream_.row(batch.offsets[s] + i); }, scored_stream_);
  head_of(scored_stream_, batch.size(), logits);
}

}  // namespace rerank::engine::cpu
