#include "engine/cpu/cpu_ops.h"

#include <algorithm>
#include <cmath>

namespace rerank::cpu {
namespace {

// Rows taken through the feed-forward part together: their inner activations (192 x 4096 fp32 = 3 MB at most) stay
// near.
constexpr size_t kFeedForwardRows = 192;
// Columns of one task: few enough that what the activation function reads back is still in the L2 cache; more where
// each task first converts its rows to the product's type.
constexpr size_t kTaskColumns = 256, kTaskColumnsConverted = 1024;

}  // namespace

CpuOps::CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team)
    : weights_(weights), kernels_(kernels), team_(team), scratch_(team ? team->size() : 1) {}

template <class Body>
void CpuOps::each(size_t tasks, const Body& body) {
  if (team_ != nullptr) {
    team_->run(tasks, body);
  } else {
    for (size_t task = 0; task < tasks; ++task) body(task, 0);
  }
}

void CpuOps::run(const LinearJob& job) {
  const size_t in = job.weights->matrix().in, block_rows = kernels_.block_rows;
  const size_t row_blocks = (job.rows + block_rows - 1) / block_rows;
  const size_t scratch_bytes = kernels_.matmul_scratch(in);
  const size_t task_panels = (scratch_bytes == 0 ? kTaskColumns : kTaskColumnsConverted) / kernels_.tile_columns;
  const size_t panel_blocks = (job.last_panel - job.first_panel + task_panels - 1) / task_panels;
  for (auto& scratch : scratch_) scratch.resize(scratch_bytes);
  each(row_blocks * panel_blocks, [&](size_t task, size_t member) {
    const size_t row = task / panel_blocks * block_rows;
    MatMulArgs args;
    args.rows = std::min(block_rows, job.rows - row);
    args.weights = &job.weights->matrix();
    args.first_panel = job.first_panel + task % panel_blocks * task_panels;
    args.last_panel = std::min(args.first_panel + task_panels, job.last_panel);
    args.a = job.a->row(job.a_row + row);
    args.a_stride = job.a->stride();
    args.c = job.c->row(job.c_row + row);
    args.c_stride = job.c->stride();
    if (job.add_to_c) args.residual = args.c;
    args.scratch = scratch_[member].data();
    kernels_.matmul(args);
    if (job.activation == nullptr) return;
    const size_t column = args.first_panel * kernels_.tile_columns;
    const size_t columns = (args.last_panel - args.first_panel) * kernels_.tile_columns;
    for (size_t r = 0; r < args.rows; ++r) activate(*job.activation, args.c + r * args.c_stride + column, columns);
  });
}

void CpuOps::activate(Activation activation, float* x, size_t n) const {
  switch (activation) {
    case Activation::kGelu:
      return kernels_.gelu(x, n);
    case Activation::kGeluTanh:
      return kernels_.gelu_tanh(x, n);
    case Activation::kRelu:
      return kernels_.relu(x, n);
    case Activation::kSilu:
      return kernels_.silu(x, n);
    case Activation::kTanh:
      for (size_t i = 0; i < n; ++i) x[i] = std::tanh(x[i]);  // the head only: a few hundred values per pair
      return;
  }
}

void CpuOps::norm_rows(PaddedMatrix& matrix, size_t first, size_t rows, const CpuNorm& norm) {
  constexpr size_t kTaskRows = 64;
  each((rows + kTaskRows - 1) / kTaskRows, [&](size_t task, size_t) {
    const size_t end = std::min(rows, (task + 1) * kTaskRows);
    for (size_t r = task * kTaskRows; r < end; ++r) {
      kernels_.layer_norm(matrix.row(first + r), norm.gamma.size(), norm.gamma.data(), norm.beta.data(),
                          config().layer_norm_epsilon);
    }
  });
}

void CpuOps::embed_row(const Batch& batch, size_t token, size_t position, float* out) const {
  const size_t width = config().embedding;
  weights_.model->weights.words.read_floats(static_cast<size_t>(batch.ids[token]) * width, {out, width});
  const float* place = &weights_.positions[(config().position_offset + position) * width];
  for (size_t c = 0; c < width; ++c) out[c] += place[c];
  if (weights_.segments.empty()) return;
  const float* segment = &weights_.segments[static_cast<size_t>(batch.segments[token]) * width];
  for (size_t c = 0; c < width; ++c) out[c] += segment[c];
}

void CpuOps::embed(const Batch& batch) {
  rows_ = batch.tokens();
  const bool projected = weights_.projection.panels() != 0;
  PaddedMatrix& table_rows = projected ? other_hidden_ : hidden_;
  table_rows.resize(rows_, config().embedding, kernels_.tile_columns);
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i) {
      embed_row(batch, batch.offsets[s] + i, i, table_rows.row(batch.offsets[s] + i));
    }
  });
  norm_rows(table_rows, 0, rows_, weights_.embedding_norm);
  if (!projected) return;
  hidden_.resize(rows_, config().hidden, kernels_.tile_columns);
  run({&weights_.projection, &table_rows, 0, rows_, &hidden_, 0, 0, weights_.projection.panels()});
}

void CpuOps::project(size_t layer, const Batch& batch, Rows rows) {
  const PackedLinear& w = weights_.layers[layer].query_key_value;
  projected_.resize(rows_, 3 * config().hidden, kernels_.tile_columns);
  if (rows == Rows::kAll) {
    run({&w, &hidden_, 0, rows_, &projected_, 0, 0, w.panels()});
    return;
  }
  // Keys and values of every row; queries of the first rows only. A panel that straddles the border belongs to both.
  const size_t columns = kernels_.tile_columns, hidden = config().hidden;
  run({&w, &hidden_, 0, rows_, &projected_, 0, hidden / columns, w.panels()});
  other_hidden_.resize(batch.size(), hidden, columns);
  for (size_t s = 0; s < batch.size(); ++s) {
    std::copy_n(hidden_.row(batch.offsets[s]), hidden, other_hidden_.row(s));
  }
  first_queries_.resize(batch.size(), hidden, columns);
  run({&w, &other_hidden_, 0, batch.size(), &first_queries_, 0, 0, (hidden + columns - 1) / columns});
}

void CpuOps::attend(const Batch& batch, Rows rows) {
  const size_t heads = config().heads, d = config().head_size(), hidden = config().hidden;
  size_t longest = 0;
  for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, batch.length(s));
  for (auto& scratch : scratch_) scratch.resize(kernels_.attention_scratch(longest, d));
  const bool first = rows == Rows::kFirst;
  context_.resize(first ? batch.size() : rows_, hidden, kernels_.tile_columns);
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
  run({&w.attention_output, &context_, 0, rows_, &hidden_, 0, 0, w.attention_output.panels(), true});
  norm_rows(hidden_, 0, rows_, w.attention_norm);
}

void CpuOps::feed_forward(size_t layer) {
  const CpuLayer& w = weights_.layers[layer];
  for (size_t row = 0; row < rows_; row += kFeedForwardRows) {
    const size_t rows = std::min(kFeedForwardRows, rows_ - row);
    inner_.resize(rows, config().intermediate, kernels_.tile_columns);
    run({&w.up, &hidden_, row, rows, &inner_, 0, 0, w.up.panels(), false, &config().activation});
    run({&w.down, &inner_, 0, rows, &hidden_, row, 0, w.down.panels(), true});
    norm_rows(hidden_, row, rows, w.output_norm);
  }
}

void CpuOps::states(const Batch& batch, Rows rows, std::span<float> out) const {
  for (size_t s = 0; s < batch.size(); ++s) {
    std::copy_n(hidden_.row(rows == Rows::kFirst ? s : batch.offsets[s]), config().hidden, &out[s * config().hidden]);
  }
}

void CpuOps::head(std::span<float> logits) {
  dense_.resize(rows_, config().hidden, kernels_.tile_columns);
  run({&weights_.head_dense, &hidden_, 0, rows_, &dense_, 0, 0, weights_.head_dense.panels(), false,
       &config().head_activation});
  inner_.resize(rows_, config().labels, kernels_.tile_columns);
  run({&weights_.head_output, &dense_, 0, rows_, &inner_, 0, 0, weights_.head_output.panels()});
  for (size_t s = 0; s < rows_; ++s) {
    const float* z = inner_.row(s);
    logits[s] = config().labels == 1 ? z[0] : z[1] - z[0];
  }
}

}  // namespace rerank::cpu
