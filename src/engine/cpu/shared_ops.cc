#include "engine/cpu/shared_ops.h"

#include <algorithm>
#include <cmath>

namespace rerank::engine::cpu {
namespace {

// Columns of one task of a team: more where each task first converts its rows to the product's type.
constexpr size_t kTaskColumns = 256, kTaskColumnsConverted = 1024;

// The word table lies in no cache: a row's lines are asked for while rows before it are added up.
constexpr size_t kRowsAhead = 4;

void prefetch_row(const model::TensorView& table, size_t row) {
  constexpr size_t kLine = 64;
  const size_t bytes = table.bytes.size() / table.shape[0];
  const std::byte* from = table.bytes.data() + row * bytes;
  for (size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(from + at);
}

}  // namespace

SharedOps::SharedOps(const SharedWeights& weights, const KernelTable& kernels, Team* team)
    : kernels_(kernels),
      scratch_(team ? team->size() : 1),
      shared_(weights),
      team_(team),
      output_(&weights.head_output) {}

void SharedOps::run(const LinearJob& job) {
  const ProductKernels& product = *job.product;
  const size_t in = job.weights->matrix().in, block_rows = product.block_rows(in);
  const size_t row_blocks = (job.rows + block_rows - 1) / block_rows;
  const size_t scratch_bytes = product.matmul_scratch(in);
  const size_t task_columns = scratch_bytes == 0 ? kTaskColumns : kTaskColumnsConverted;
  const size_t task_panels =
      team_ == nullptr ? std::max<size_t>(1, job.last_panel - job.first_panel) : task_columns / product.tile_columns;
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
    if (job.factor != nullptr) args.factor = job.factor->row(job.c_row + row);
    args.scratch = scratch_[member].data();
    if (job.activation != nullptr) args.activation = function_of(*job.activation);
    product.matmul(args);
  });
}

ActivationFunction* SharedOps::function_of(model::Activation activation) const {
  switch (activation) {
    case model::Activation::kGelu:
      return kernels_.gelu;
    case model::Activation::kGeluTanh:
      return kernels_.gelu_tanh;
    case model::Activation::kRelu:
      return kernels_.relu;
    case model::Activation::kSilu:
      return kernels_.silu;
    case model::Activation::kTanh:
      break;
  }
  return [](float* x, size_t n) {  // the head only: a few hundred values per pair
    for (size_t i = 0; i < n; ++i) x[i] = std::tanh(x[i]);
  };
}

void SharedOps::norm_rows(PaddedMatrix& matrix, size_t first, size_t rows, const CpuNorm& norm) {
  constexpr size_t kTaskRows = 64;
  each((rows + kTaskRows - 1) / kTaskRows, [&](size_t task, size_t) {
    const size_t begin = task * kTaskRows, count = std::min(rows - begin, kTaskRows);
    norm_in_place(matrix.row(first + begin), count, matrix.stride(), norm);
  });
}

void SharedOps::norm_in_place(float* x, size_t count, size_t apart, const CpuNorm& norm) const {
  const size_t width = norm.gamma.size();
  const float *gamma = norm.gamma.data(), *beta = norm.beta.data();
  const float epsilon = architecture().norm_epsilon;
  if (architecture().norm == model::NormKind::kRms) {
    for (size_t i = 0; i < count; ++i) kernels_.rms_norm(x + i * apart, width, gamma, epsilon);
  } else {
    for (size_t i = 0; i < count; ++i) kernels_.layer_norm(x + i * apart, width, gamma, beta, epsilon);
  }
}

void SharedOps::norm_rows(const PaddedMatrix& from, size_t first, size_t rows, const CpuNorm& norm, PaddedMatrix& to) {
  const size_t width = norm.gamma.size();
  to.resize(rows, width, columns());
  each(rows, [&](size_t r, size_t) {
    std::copy_n(from.row(first + r), width, to.row(r));
    norm_in_place(to.row(r), 1, 0, norm);
  });
}

void SharedOps::embed_row(const Batch& batch, size_t token, size_t position, float* out) const {
  const model::Embedding& embedding = architecture().embedding;
  const size_t width = embedding.width;
  const model::TensorView& words = shared_.model->weights.words;
  if (token + kRowsAhead < batch.tokens()) prefetch_row(words, batch.ids[token + kRowsAhead]);
  words.read_floats(static_cast<size_t>(batch.ids[token]) * width, {out, width});
  const float* table_row = nullptr;
  if (!shared_.positions.empty()) table_row = &shared_.positions[(embedding.position_offset + position) * width];
  const float* segment = nullptr;
  if (!shared_.segments.empty()) segment = &shared_.segments[static_cast<size_t>(batch.segments[token]) * width];
  if (table_row != nullptr && segment != nullptr) {
    for (size_t c = 0; c < width; ++c) out[c] = out[c] + table_row[c] + segment[c];
  } else if (table_row != nullptr || segment != nullptr) {
    const float* row = table_row != nullptr ? table_row : segment;
    for (size_t c = 0; c < width; ++c) out[c] += row[c];
  }
}

void SharedOps::embed_rows(const Batch& batch, PaddedMatrix& out) {
  out.resize(batch.tokens(), architecture().embedding.width, columns());
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i) {
      embed_row(batch, batch.offsets[s] + i, i, out.row(batch.offsets[s] + i));
    }
  });
  if (!shared_.embedding_norm.empty()) norm_rows(out, 0, batch.tokens(), shared_.embedding_norm);
}

// As a linear layer over the rows around each, side by side; outside of a sequence they are zero.
const PaddedMatrix& SharedOps::convolve(const Batch& batch, Rows rows) {
  const model::Convolution& convolution = *architecture().convolution;
  const size_t hidden = architecture().hidden, width = convolution.width;
  const size_t count = rows == Rows::kScored ? batch.size() : batch.tokens();
  around_.resize(count, width * hidden, columns());
  const auto gather_around = [&](size_t s, size_t position, float* to) {
    for (size_t k = 0; k < width; ++k, to += hidden) {
      const size_t from = position + k;  // of the row half a width before the first
      if (from >= width / 2 && from - width / 2 < batch.length(s)) {
        std::copy_n(embedded_.row(batch.offsets[s] + from - width / 2), hidden, to);
      } else {
        std::fill_n(to, hidden, 0.0f);
      }
    }
  };
  each(batch.size(), [&](size_t s, size_t) {
    if (rows == Rows::kScored)
      return gather_around(s, scored_row(architecture(), batch, s) - batch.offsets[s], around_.row(s));
    for (size_t i = 0; i < batch.length(s); ++i) gather_around(s, i, around_.row(batch.offsets[s] + i));
  });
  convolved_.resize(count, hidden, columns());
  run({.product = &kernels_.exact,
       .weights = &shared_.convolution,
       .a = &around_,
       .a_row = 0,
       .rows = count,
       .c = &convolved_,
       .c_row = 0,
       .first_panel = 0,
       .last_panel = shared_.convolution.panels(),
       .activation = &convolution.activation});
  return convolved_;
}

// What the head's last layer gives, [rows, labels].
const PaddedMatrix& SharedOps::outputs_of(const PaddedMatrix& scored, size_t rows) {
  const model::Scoring& scoring = architecture().scoring;
  const PaddedMatrix* read = &scored;
  if (scoring.dense) {
    dense_.resize(rows, scoring.dense_width != 0 ? scoring.dense_width : architecture().hidden, columns());
    run({.product = &kernels_.exact,
         .weights = &shared_.head_dense,
         .a = &scored,
         .a_row = 0,
         .rows = rows,
         .c = &dense_,
         .c_row = 0,
         .first_panel = 0,
         .last_panel = shared_.head_dense.panels(),
         .activation = &scoring.activation});
    read = &dense_;
  }
  if (scoring.norm) {
    const CpuNorm& norm = shared_.head_norm;
    for (size_t s = 0; s < rows; ++s)
      kernels_.layer_norm(dense_.row(s), norm.gamma.size(), norm.gamma.data(), norm.beta.data(), scoring.norm_epsilon);
  }
  outputs_.resize(rows, scoring.labels, columns());
  run({.product = &kernels_.exact,
       .weights = output_,
       .a = read,
       .a_row = 0,
       .rows = rows,
       .c = &outputs_,
       .c_row = 0,
       .first_panel = 0,
       .last_panel = output_->panels()});
  return outputs_;
}

void SharedOps::head_of(const PaddedMatrix& scored, size_t rows, std::span<float> logits) {
  const model::Scoring& scoring = architecture().scoring;
  outputs_of(scored, rows);
  for (size_t s = 0; s < rows; ++s) {
    float* z = outputs_.row(s);
    for (size_t i = 0; scoring.softcap != 0 && i < scoring.labels; ++i)
      z[i] = scoring.softcap * std::tanh(z[i] / scoring.softcap);
    logits[s] = scoring.labels == 1 ? z[0] : z[1] - z[0];
  }
}

void SharedOps::marked_vectors(const Batch& batch, const PaddedMatrix& all, std::span<float> vectors) {
  const std::vector<uint32_t> rows = marked_rows(architecture(), batch);
  marked_.resize(rows.size(), architecture().hidden, columns());
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(all.row(rows[i]), architecture().hidden, marked_.row(i));
  if (rows.empty()) return;
  const size_t width = architecture().scoring.labels;
  outputs_of(marked_, rows.size());
  for (size_t i = 0; i < rows.size(); ++i) std::copy_n(outputs_.row(i), width, &vectors[i * width]);
}

void SharedOps::mean_logits(const Batch& batch, const PaddedMatrix& scored, std::span<float> logits) {
  std::vector<float> all(batch.tokens());
  head_of(scored, batch.tokens(), all);
  for (size_t s = 0; s < batch.size(); ++s) {
    double sum = 0;
    for (size_t i = batch.offsets[s]; i < batch.offsets[s + 1]; ++i) sum += all[i];
    logits[s] = static_cast<float>(sum / static_cast<double>(batch.length(s)));
  }
}

}  // namespace rerank::engine::cpu
