// Feed-forwards of experts on tiles: rows that chose one expert are moved together, and go through it as the rows of a
// feed-forward without experts do.
#include <algorithm>
#include <cstring>

#include "engine/cpu/amx/tile_ops.h"
#include "engine/cpu/bf16.h"

namespace rerank::engine::cpu {
namespace {

size_t even(size_t n) { return round_up(n, 2); }

}  // namespace

// What products read of a row, as exactly as it is there: in a post-norm block the stream itself.
void TileOps::read_input(size_t layer, size_t row, float* to) {
  if (!order(layer).pre_norm) return store_row(state_, row, to);
  const size_t tiles = state_.inputs.tiles;
  const std::byte* from = state_.inputs.bf16.data() + row / kRowTile * tiles * kTileBytes + row % kRowTile * kTileRow;
  for (size_t c = 0; c < architecture().hidden; ++c) {
    uint16_t bits;
    std::memcpy(&bits, from + c / 32 * kTileBytes + c % 32 * 2, 2);
    to[c] = from_bf16(bits);
  }
}

// The router is fp32, as it is everywhere.
void TileOps::add_experts(size_t layer) {
  const TileLayer& w = weights_.layer(layer);
  const model::FeedForward& ff = feed_forward(layer);
  const size_t hidden = architecture().hidden, rows = real_rows_.size();
  router_rows_.resize(rows, hidden, columns());
  for (size_t r = 0; r < rows; ++r) read_input(layer, real_rows_[r], router_rows_.row(r));
  router_.resize(rows, ff.experts->count, columns());
  run({.product = &kernels_.exact,
       .weights = &w.router,
       .a = &router_rows_,
       .a_row = 0,
       .rows = rows,
       .c = &router_,
       .c_row = 0,
       .first_panel = 0,
       .last_panel = w.router.panels()});
  std::vector<std::vector<ExpertShare>> rows_of(ff.experts->count);  // of each expert: row instead of expert
  std::vector<ExpertShare> chosen;
  for (size_t r = 0; r < rows; ++r) {
    choose_experts(*ff.experts, {router_.row(r), ff.experts->count}, chosen);
    for (const auto& [expert, weight] : chosen) rows_of[expert].push_back({r, weight});
  }
  mixed_.resize(rows, hidden, columns());
  for (size_t r = 0; r < rows; ++r) {
    std::fill_n(mixed_.row(r), hidden, 0.0f);
    if (!w.experts_bias.empty()) std::copy_n(w.experts_bias.data(), hidden, mixed_.row(r));
  }
  for (size_t e = 0; e < rows_of.size(); ++e) {
    const std::span<const ExpertShare> all = rows_of[e];
    for (size_t first = 0; first < all.size(); first += kBlockRowTiles * kRowTile)
      run_expert(w.experts[e], ff, all.subspan(first, std::min(kBlockRowTiles * kRowTile, all.size() - first)));
  }
  for (size_t r = 0; r < rows; ++r) {
    float* to = c_row(state_, real_rows_[r]);
    for (size_t c = 0; c < hidden; ++c) to[c / 16 * 256 + c % 16] += mixed_.row(r)[c];
  }
  if (!order(layer).pre_norm) norm(0, state_.row_tiles, nullptr, &w.output_norm);
}

// mixed_ += weight x the expert's result, of rows that chose it, whose inputs are moved together.
void TileOps::run_expert(const TileExpert& expert, const model::FeedForward& ff, std::span<const ExpertShare> rows) {
  const size_t row_tiles = even((rows.size() + kRowTile - 1) / kRowTile), tiles = state_.inputs.tiles;
  resize(expert_, row_tiles);
  std::memset(expert_.c.data(), 0, row_tiles * column_tiles() * 256 * sizeof(float));
  std::memset(expert_.inputs.bf16.data(), 0, row_tiles * tiles * kTileBytes);
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t row = real_rows_[rows[i].expert];
    const std::byte* from = state_.inputs.bf16.data() + row / kRowTile * tiles * kTileBytes + row % kRowTile * kTileRow;
    std::byte* to = expert_.inputs.bf16.data() + i / kRowTile * tiles * kTileBytes + i % kRowTile * kTileRow;
    for (size_t k = 0; k < tiles; ++k) std::memcpy(to + k * kTileBytes, from + k * kTileBytes, kTileRow);
  }
  quantize(expert_.inputs, row_tiles);
  add_products({expert.gate.panels(), expert.up.panels(), expert.down.panels()}, ff, expert_, 0, row_tiles);
  const float* bias = expert.down.panels().bias;
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* from = c_row(expert_, i);
    float* to = mixed_.row(rows[i].expert);
    for (size_t c = 0; c < architecture().hidden; ++c)
      to[c] += rows[i].weight * (from[c / 16 * 256 + c % 16] + (bias == nullptr ? 0 : bias[c]));
  }
}

}  // namespace rerank::engine::cpu
