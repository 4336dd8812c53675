#include "engine/cpu/vector/cpu_ops.h"

#include <algorithm>
#include <cmath>

#include "engine/attention_pattern.h"

namespace rerank::cpu {
namespace {

// Rows taken through the feed-forward part together: their inner activations (192 x 4096 fp32 = 3 MB at most) stay
// near.
constexpr size_t kFeedForwardRows = 192;

}  // namespace

CpuOps::CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team)
    : SharedOps(weights, kernels, team), weights_(weights) {}

void CpuOps::embed(const Batch& batch) {
  rows_ = batch.tokens();
  const bool projected = weights_.projection.panels() != 0;
  PaddedMatrix& table_rows = projected ? other_hidden_ : hidden_;
  embed_rows(batch, table_rows);
  if (!projected) return;
  hidden_.resize(rows_, config().hidden, columns());
  run({&kernels_.exact, &weights_.projection, &table_rows, 0, rows_, &hidden_, 0, 0, weights_.projection.panels()});
}

void CpuOps::project(size_t layer, const Batch& batch, Rows rows) {
  const PackedLinear& w = weights_.layers[layer].query_key_value;
  pattern_ = config().pattern(layer);
  projected_.resize(rows_, 3 * config().hidden, columns());
  if (rows == Rows::kAll) {
    run({&w.product(), &w, &hidden_, 0, rows_, &projected_, 0, 0, w.panels()});
    if (pattern_.rope_theta != 0) turn(batch, rows, weights_.turns.at(pattern_.rope_theta));
    return;
  }
  // Keys and values of every row; queries of the first rows only. A panel that straddles the border belongs to both.
  const size_t panel = columns(), hidden = config().hidden;
  run({&w.product(), &w, &hidden_, 0, rows_, &projected_, 0, hidden / panel, w.panels()});
  other_hidden_.resize(batch.size(), hidden, panel);
  for (size_t s = 0; s < batch.size(); ++s) {
    std::copy_n(hidden_.row(batch.offsets[s]), hidden, other_hidden_.row(s));
  }
  first_queries_.resize(batch.size(), hidden, panel);
  const PackedLinear& own = weights_.layers[layer].first_query;
  const PackedLinear& query = own.panels() != 0 ? own : w;
  const size_t panels = (hidden + panel - 1) / panel;
  run({&query.product(), &query, &other_hidden_, 0, batch.size(), &first_queries_, 0, 0, panels});
  if (pattern_.rope_theta != 0) turn(batch, rows, weights_.turns.at(pattern_.rope_theta));
}

// The first queries are at position 0, which is not turned.
void CpuOps::turn(const Batch& batch, Rows rows, const std::vector<float>& turns) {
  const size_t heads = config().heads, d = config().head_size();
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i) {
      float* row = projected_.row(batch.offsets[s] + i);
      if (rows == Rows::kAll) kernels_.rotate(row, heads, d, &turns[i * d]);
      kernels_.rotate(row + config().hidden, heads, d, &turns[i * d]);
    }
  });
}

void CpuOps::attend(const Batch& batch, Rows rows) {
  const size_t heads = config().heads, d = config().head_size(), hidden = config().hidden;
  size_t longest = 0;
  for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, batch.length(s));
  for (auto& scratch : scratch_) scratch.resize(kernels_.attention_scratch(longest, d));
  const bool first = rows == Rows::kFirst;
  context_.resize(first ? batch.size() : rows_, hidden, columns());
  each(batch.size() * heads, [&](size_t task, size_t member) {
    const size_t s = task / heads, column = task % heads * d, row = batch.offsets[s];
    AttentionArgs args;
    args.queries = first ? first_queries_.row(s) + column : projected_.row(row) + column;
    args.query_stride = first ? first_queries_.stride() : projected_.stride();
    args.query_rows = first ? 1 : batch.length(s);
    args.keys = projected_.row(row) + hidden + column;
    args.values = projected_.row(row) + 2 * hidden + column;
    args.key_stride = projected_.stride();
    args.length = batch.length(s);
    args.head_size = d;
    args.scale = 1 / std::sqrt(static_cast<float>(d));
    args.window = pattern_.window;
    if (pattern_.alibi) args.slope = alibi_slope(heads, task % heads);
    args.context = context_.row(first ? s : row) + column;
    args.context_stride = context_.stride();
    args.scratch = scratch_[member].data();
    kernels_.attention(args);
  });
}

void CpuOps::keep(const Batch& batch, Rows rows) {
  if (rows == Rows::kAll) return;
  std::swap(hidden_, other_hidden_);  // project() has gathered the first rows there
  rows_ = batch.size();
}

void CpuOps::attention_output(size_t layer) {
  const CpuLayer& w = weights_.layers[layer];
  run({&w.attention_output.product(), &w.attention_output, &context_, 0, rows_, &hidden_, 0, 0,
       w.attention_output.panels(), true});
  norm_rows(hidden_, 0, rows_, w.attention_norm);
}

void CpuOps::feed_forward(size_t layer) {
  const CpuLayer& w = weights_.layers[layer];
  for (size_t row = 0; row < rows_; row += kFeedForwardRows) {
    const size_t rows = std::min(kFeedForwardRows, rows_ - row);
    inner_.resize(rows, config().intermediate, columns());
    run({&w.up.product(), &w.up, &hidden_, row, rows, &inner_, 0, 0, w.up.panels(), false, &config().activation});
    run({&w.down.product(), &w.down, &inner_, 0, rows, &hidden_, row, 0, w.down.panels(), true});
    norm_rows(hidden_, row, rows, w.output_norm);
  }
}

void CpuOps::suspend(const Batch& batch, std::span<float> out) {
  const size_t hidden = config().hidden;
  for (size_t row = 0; row < batch.tokens(); ++row) std::copy_n(hidden_.row(row), hidden, &out[row * hidden]);
}

void CpuOps::resume(const Batch& batch, std::span<const float> in) {
  const size_t hidden = config().hidden;
  rows_ = batch.tokens();
  hidden_.resize(rows_, hidden, columns());
  for (size_t row = 0; row < rows_; ++row) std::copy_n(&in[row * hidden], hidden, hidden_.row(row));
}

void CpuOps::head(std::span<float> logits) { head_of(hidden_, rows_, logits); }

}  // namespace rerank::cpu
