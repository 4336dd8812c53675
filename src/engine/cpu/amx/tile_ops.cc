#include "engine/cpu/amx/tile_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace rerank::engine::cpu {
namespace {

// Inner columns of the feed-forward part that are computed, and used up, at a time, as one product reads them: with 512
// rows 512 KiB, so that they do not leave the L2 cache. In int8 each of them also has ranges of its own.
constexpr size_t kSlabBytes = 1024;

size_t even(size_t n) { return round_up(n, 2); }

}  // namespace

TileOps::TileOps(const TileWeights& weights, const KernelTable& kernels, Team* team)
    : SharedOps(weights, kernels, team), weights_(weights), tiles_(*kernels.tiles), position_scratch_(members()) {
  const size_t bytes = std::max(kProductScratch, tiles_.attention_scratch(head_tiles()));
  for (auto& scratch : scratch_) scratch.resize(bytes);
}

void TileOps::place_rows(const Batch& batch) {
  starts_.assign(1, 0);
  real_rows_.clear();
  for (size_t s = 0; s < batch.size(); ++s) {
    for (size_t i = 0; i < batch.length(s); ++i) real_rows_.push_back(static_cast<uint32_t>(starts_[s] * kRowTile + i));
    starts_.push_back(starts_.back() + round_up(batch.length(s), kRowTile) / kRowTile);
  }
  // Keys and values are read two row tiles at a time: the last sequence's must not end with the memory.
  const size_t last = starts_.back() - starts_[batch.size() - 1];
  resize(state_, even(starts_.back() + last % 2));
}

void TileOps::resize(State& state, size_t row_tiles) {
  state.row_tiles = row_tiles;
  state.c.resize(row_tiles * column_tiles() * 256);
  prepare(state.inputs, row_tiles, weights_.hidden_columns / 32);
}

void TileOps::prepare(Inputs& inputs, size_t row_tiles, size_t tiles) {
  inputs.tiles = tiles;
  inputs.bf16.resize(row_tiles * tiles * kTileBytes);
  if (!tiles_.int8) return;
  inputs.int8.resize(row_tiles * ((tiles + 1) / 2) * kTileBytes);
  inputs.ranges.resize(row_tiles * kRowTile);
}

void TileOps::quantize_one(Inputs& inputs, size_t row_tile) {
  if (!tiles_.int8) return;
  tiles_.quantize(inputs.bf16.data() + row_tile * inputs.tiles * kTileBytes, inputs.tiles,
                  inputs.int8.data() + row_tile * ((inputs.tiles + 1) / 2) * kTileBytes,
                  inputs.ranges.data() + row_tile * kRowTile);
}

void TileOps::quantize(Inputs& inputs, size_t row_tiles) {
  if (!tiles_.int8) return;
  each(row_tiles, [&](size_t task, size_t) { quantize_one(inputs, task); });
}

float* TileOps::c_row(State& state, size_t row) const {  // its first sixteen columns; the next are 256 further
  return state.c.data() + row / kRowTile * column_tiles() * 256 + row % kRowTile * 16;
}

void TileOps::load_row(const float* from, State& state, size_t row) {
  float* to = c_row(state, row);
  for (size_t c = 0; c < architecture().hidden; c += 16, to += 256)
    std::copy_n(from + c, std::min<size_t>(16, architecture().hidden - c), to);
}

void TileOps::store_row(State& state, size_t row, float* to) {
  const float* from = c_row(state, row);
  for (size_t c = 0; c < architecture().hidden; c += 16, from += 256)
    std::copy_n(from, std::min<size_t>(16, architecture().hidden - c), to + c);
}

void TileOps::save_state(const Batch& batch, std::span<float> out) {
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i)
      store_row(state_, starts_[s] * kRowTile + i, &out[(batch.offsets[s] + i) * architecture().hidden]);
  });
}

void TileOps::load_state(const Batch& batch, std::span<const float> in) {
  place_rows(batch);
  std::memset(state_.c.data(), 0, state_.c.size() * sizeof(float));
  each(batch.size(), [&](size_t s, size_t) {
    for (size_t i = 0; i < batch.length(s); ++i)
      load_row(&in[(batch.offsets[s] + i) * architecture().hidden], state_, starts_[s] * kRowTile + i);
  });
  norm(0, state_.row_tiles, nullptr, nullptr);  // only to what products read
}

void TileOps::embed(const Batch& batch) {
  place_rows(batch);
  const bool projected = weights_.projection.panels() != 0;
  // LayerNorm belongs to the tables' width: on plain rows where they are projected, else where the rows will lie.
  PaddedMatrix table_rows;
  if (projected) {
    embed_rows(batch, table_rows);
    rows_.resize(batch.tokens(), architecture().hidden, columns());
    run({.product = &kernels_.exact,
         .weights = &weights_.projection,
         .a = &table_rows,
         .a_row = 0,
         .rows = batch.tokens(),
         .c = &rows_,
         .c_row = 0,
         .first_panel = 0,
         .last_panel = weights_.projection.panels()});
  }
  std::memset(state_.c.data(), 0, state_.c.size() * sizeof(float));
  each(batch.size(), [&](size_t s, size_t) {
    std::vector<float> row(weights_.hidden_columns);
    for (size_t i = 0; i < batch.length(s); ++i) {
      const size_t token = batch.offsets[s] + i;
      if (projected) {
        std::copy_n(rows_.row(token), architecture().hidden, row.begin());
      } else {
        embed_row(batch, token, i, row.data());
      }
      float* to = c_row(state_, starts_[s] * kRowTile + i);
      for (size_t c = 0; c < row.size(); c += 16, to += 256) std::copy_n(row.data() + c, 16, to);
    }
  });
  const bool normed = !projected && architecture().embedding.norm;
  norm(0, state_.row_tiles, nullptr, normed ? &weights_.tile_embedding_norm : nullptr);
  if (!architecture().convolution) return;
  std::vector<float> row(architecture().hidden);
  size_t s = 0;
  keep_embedded(batch.tokens(), [&](size_t token) {
    while (token >= batch.offsets[s + 1]) ++s;
    store_row(state_, starts_[s] * kRowTile + token - batch.offsets[s], row.data());
    return row.data();
  });
}

void TileOps::norm(size_t first_row_tile, size_t row_tiles, const float* bias, const TileNormWeights* weights,
                   bool keep) {
  each(row_tiles, [&](size_t task, size_t) {
    const size_t t = first_row_tile + task;
    TileNorm job;
    job.c = state_.c.data() + t * column_tiles() * 256;
    job.a = state_.inputs.bf16.data() + t * state_.inputs.tiles * kTileBytes;
    job.columns = architecture().hidden;
    job.column_tiles = column_tiles();
    job.bias = bias;
    job.keep = keep;
    job.rms = architecture().norm == model::NormKind::kRms;
    if (weights != nullptr) {
      job.gamma = weights->gamma.data();
      job.beta = weights->beta.data();
    }
    job.epsilon = architecture().norm_epsilon;
    tiles_.norm(job);
    quantize_one(state_.inputs, t);
  });
}

void TileOps::product(const Step& step) {
  const size_t last_panel = std::min(step.last_panel, step.weights->panels), panels = last_panel - step.first_panel;
  const size_t pieces = members() == 1 ? 1 : std::min(panels, kPiecesPerMember * members());
  const size_t blocks = (step.row_tiles + kBlockRowTiles - 1) / kBlockRowTiles;
  const Inputs& inputs = *step.inputs;
  const TileKernels& kernels = *step.weights->kernels;
  const size_t a_tiles = kernels.int8 ? (inputs.tiles + 1) / 2 : inputs.tiles;
  each(blocks * pieces, [&](size_t task, size_t member) {
    const size_t piece = task % pieces, row_tile = task / pieces * kBlockRowTiles;
    TileProduct job;
    const size_t a_row = step.first_row_tile + row_tile;
    job.a = (kernels.int8 ? inputs.int8 : inputs.bf16).data() + a_row * a_tiles * kTileBytes;
    job.a_stride = a_tiles * kTileBytes;
    if (kernels.int8) job.a_ranges = inputs.ranges.data() + a_row * kRowTile;
    job.row_tiles = std::min(kBlockRowTiles, step.row_tiles - row_tile);
    job.weights = step.weights;
    job.first_panel = step.first_panel + panels * piece / pieces;
    job.last_panel = step.first_panel + panels * (piece + 1) / pieces;
    job.first_step = step.first_step;
    job.steps = step.steps;
    job.result = step.result;
    job.activation = step.activation;
    job.factor = step.factor;
    // Pairs of rows side by side: a row tile of values takes half a tile of each half panel.
    job.out = step.out + row_tile * step.out_row_stride + panels * piece / pieces * step.out_panel_stride;
    job.out_panel_stride = step.out_panel_stride;
    job.out_row_stride = step.out_row_stride;
    job.scratch = scratch_[member].data();
    kernels.product(job);
  });
}

void TileOps::gather_scored_rows(const Batch& batch) {
  resize(scored_, even((batch.size() + kRowTile - 1) / kRowTile));
  const size_t tiles = state_.inputs.tiles;
  for (size_t s = 0; s < batch.size(); ++s) {
    const float* from = c_row(state_, starts_[s] * kRowTile);
    float* to = c_row(scored_, s);
    for (size_t c = 0; c < column_tiles(); ++c) std::copy_n(from + c * 256, 16, to + c * 256);
    const std::byte* a_from = state_.inputs.bf16.data() + starts_[s] * tiles * kTileBytes;
    std::byte* a_to = scored_.inputs.bf16.data() + s / kRowTile * tiles * kTileBytes + s % kRowTile * kTileRow;
    for (size_t k = 0; k < tiles; ++k) std::memcpy(a_to + k * kTileBytes, a_from + k * kTileBytes, kTileRow);
  }
  quantize(scored_.inputs, scored_.row_tiles);
}

void TileOps::select_rows(const Batch& batch, Rows rows) {
  if (rows == Rows::kAll) return;
  std::swap(state_, scored_);  // project() has gathered them
  real_rows_.resize(batch.size());
  std::iota(real_rows_.begin(), real_rows_.end(), 0);
}

void TileOps::add_attention(size_t layer) {
  const TileLayer& w = weights_.layer(layer);
  const TilePanels& panels = w.attention_output.panels();
  product({.inputs = &context_,
           .first_row_tile = 0,
           .row_tiles = state_.row_tiles,
           .weights = &panels,
           .first_step = 0,
           .steps = panels.steps,
           .result = TileResult::kAdd,
           .out = reinterpret_cast<std::byte*>(state_.c.data()),
           .out_panel_stride = 2 * kTileBytes,
           .out_row_stride = column_tiles() * kTileBytes});
  order(layer).pre_norm ? add_bias(0, state_.row_tiles, panels.bias)
                        : norm(0, state_.row_tiles, panels.bias, &w.attention_norm);
}

void TileOps::add_bias(size_t first_row_tile, size_t row_tiles, const float* bias) {
  if (bias == nullptr) return;
  each(row_tiles, [&](size_t task, size_t) {
    float* c = state_.c.data() + (first_row_tile + task) * column_tiles() * 256;
    for (size_t tile = 0; tile < column_tiles(); ++tile) {
      for (size_t i = 0; i < 256; ++i) c[tile * 256 + i] += bias[tile * 16 + i % 16];
    }
  });
}

void TileOps::norm_attention(size_t layer) {
  norm(0, state_.row_tiles, nullptr, &weights_.layer(layer).attention_norm, true);
}

void TileOps::norm_feed_forward(size_t layer) {
  norm(0, state_.row_tiles, nullptr, &weights_.layer(layer).output_norm, true);
}

void TileOps::add_convolution(const Batch& batch, Rows rows) {
  const PaddedMatrix& convolved = convolve(batch, rows);
  const auto add_to = [&](size_t row, const float* from) {
    float* to = c_row(state_, row);
    for (size_t c = 0; c < architecture().hidden; ++c) to[c / 16 * 256 + c % 16] += from[c];
  };
  for (size_t s = 0; s < batch.size(); ++s) {
    if (rows == Rows::kScored) add_to(s, convolved.row(s));
    for (size_t i = 0; rows == Rows::kAll && i < batch.length(s); ++i)
      add_to(starts_[s] * kRowTile + i, convolved.row(batch.offsets[s] + i));
  }
  norm(0, state_.row_tiles, nullptr, &weights_.tile_convolution_norm);
}

void TileOps::norm_final() { norm(0, state_.row_tiles, nullptr, &weights_.tile_final_norm); }

void TileOps::add_feed_forward(size_t layer) {
  if (feed_forward(layer).experts) return add_experts(layer);
  const TileLayer& w = weights_.layer(layer);
  const float* bias = w.down.panels().bias;
  for (size_t row = 0; row < state_.row_tiles; row += kBlockRowTiles) {
    const size_t row_tiles = std::min(kBlockRowTiles, state_.row_tiles - row);
    add_products({w.gate.panels(), w.up.panels(), w.down.panels()}, feed_forward(layer), state_, row, row_tiles);
    order(layer).pre_norm ? add_bias(row, row_tiles, bias) : norm(row, row_tiles, bias, &w.output_norm);
  }
}

// state.c += the feed-forward of state.inputs, without the last bias. Slab by slab of the inner columns, each used up
// before the next.
void TileOps::add_products(const FeedForwardPanels& panels_of, const model::FeedForward& ff, State& state, size_t row,
                           size_t row_tiles) {
  const TilePanels &up = panels_of.up, &down = panels_of.down, &gate = panels_of.gate;
  const size_t slab_panels = kSlabBytes / (tiles_.int8 ? 1 : 2) / kPanelColumns,
               column_stride = column_tiles() * kTileBytes;
  for (size_t panel = 0; panel < up.panels; panel += slab_panels) {
    const size_t panels = std::min(slab_panels, up.panels - panel);
    prepare(inner_, row_tiles, panels);
    const auto inner = [&](const TilePanels& weights, TileResult result) {
      product({.inputs = &state.inputs,
               .first_row_tile = row,
               .row_tiles = row_tiles,
               .weights = &weights,
               .first_step = 0,
               .steps = weights.steps,
               .result = result,
               .out = inner_.bf16.data(),
               .out_panel_stride = kTileBytes,
               .out_row_stride = panels * kTileBytes,
               .first_panel = panel,
               .last_panel = panel + panels,
               .activation = ff.activation});
    };
    if (ff.gate != model::GateHalf::kNone) inner(gate, TileResult::kInner);
    inner(up, ff.gate == model::GateHalf::kNone ? TileResult::kInner : TileResult::kGated);
    if (down.kernels->int8) quantize(inner_, row_tiles);
    const size_t inputs = down.kernels->inputs_per_tile / kPanelColumns;  // panels in an input tile
    product({.inputs = &inner_,
             .first_row_tile = 0,
             .row_tiles = row_tiles,
             .weights = &down,
             .first_step = panel / inputs,
             .steps = (panels + inputs - 1) / inputs,
             .result = TileResult::kAdd,
             .out = reinterpret_cast<std::byte*>(state.c.data()) + row * column_stride,
             .out_panel_stride = 2 * kTileBytes,
             .out_row_stride = column_stride});
  }
}

void TileOps::score(const Batch& batch, std::span<float> logits) {
  const size_t hidden = architecture().hidden;
  const model::ScoredRows scored = architecture().scoring.rows;
  if (scored == model::ScoredRows::kFirst) {
    rows_.resize(batch.size(), hidden, columns());
    for (size_t s = 0; s < batch.size(); ++s) store_row(state_, s, rows_.row(s));
    return head_of(rows_, batch.size(), logits);
  }
  rows_.resize(batch.tokens(), hidden, columns());
  for (size_t s = 0; s < batch.size(); ++s) {
    for (size_t i = 0; i < batch.length(s); ++i)
      store_row(state_, starts_[s] * kRowTile + i, rows_.row(batch.offsets[s] + i));
  }
  if (scored == model::ScoredRows::kMeanOfLogits) return mean_logits(batch, rows_, logits);
  mean_rows(
      batch, [&](size_t s, size_t i) { return rows_.row(batch.offsets[s] + i); }, means_);
  head_of(means_, batch.size(), logits);
}

}  // namespace rerank::engine::cpu
