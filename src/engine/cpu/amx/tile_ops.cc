#include "engine/cpu/amx/tile_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "engine/attention_pattern.h"
#include "engine/cpu/bf16.h"

namespace rerank::engine::cpu {
namespace {

// Inner columns of the feed-forward part that are computed, and used up, at a time, as one product reads them: with 512
// rows 512 KiB, so that they do not leave the L2 cache. In int8 each of them also has ranges of its own.
constexpr size_t kSlabBytes = 1024;
// Pieces of a product for each member of a team, so that a slower core takes fewer.
constexpr size_t kPiecesPerMember = 4;

size_t even(size_t n) { return round_up(n, 2); }

// RoPE of one head's bf16 values; place(c) is where value c lies.
template <class Place>
void rotate_row(size_t head_size, const float* angles, const Place& place) {
  const size_t half = head_size / 2;
  const auto read = [](const std::byte* at) {
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    return from_bf16(bits);
  };
  const auto write = [](std::byte* at, float x) {
    const uint16_t bits = to_bf16(x);
    std::memcpy(at, &bits, 2);
  };
  for (size_t c = 0; c < half; ++c) {
    std::byte *const low = place(c), *const high = place(c + half);
    const float a = read(low), b = read(high), cosine = angles[c], sine = angles[half + c];
    write(low, a * cosine - b * sine);
    write(high, b * cosine + a * sine);
  }
}

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
    run({&kernels_.exact, &weights_.projection, &table_rows, 0, batch.tokens(), &rows_, 0, 0,
         weights_.projection.panels()});
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

void TileOps::project_to(const TilePanels& weights, State& from, TileResult result, Buffer<std::byte>& out) {
  const size_t stride = from.row_tiles * kTileBytes;
  out.resize(weights.panels * stride);
  const float factor = kScoreUnits * 1.44269504f * score_scale(*attention_);
  product({&from.inputs, 0, from.row_tiles, &weights, 0, weights.steps, result, out.data(), stride,
           result == TileResult::kValues ? kTileBytes / 2 : kTileBytes, 0, SIZE_MAX,
           result == TileResult::kQueries ? factor : 1});
}

void TileOps::project(size_t layer, const Batch& batch, Rows rows) {
  const TileLayer& w = weights_.layer(layer);
  attention_ = &attention(layer);
  layer_ = &w;
  if (rows == Rows::kScored || sees_first()) gather_scored_rows(batch);
  if (sees_first()) {  // the scored row is the first
    project_to(w.global_key.panels(), state_, TileResult::kKeys, global_keys_);
    project_to(w.global_value.panels(), state_, TileResult::kValues, global_values_);
    project_to(w.global_query.panels(), scored_, TileResult::kQueries, global_queries_);
    query_row_tiles_ = global_row_tiles_ = scored_.row_tiles;
    if (rows == Rows::kScored) return;
  }
  project_to(w.key.panels(), state_, TileResult::kKeys, keys_);
  project_to(w.value.panels(), state_, TileResult::kValues, values_);
  State& from = rows == Rows::kScored ? scored_ : state_;
  project_to(w.query.panels(), from, TileResult::kQueries, queries_);
  query_row_tiles_ = from.row_tiles;
  if (attention_->position == model::PositionKind::kRope) apply_rope(batch, rows);
}

// Scored queries are at position 0, where the angle is 0.
void TileOps::apply_rope(const Batch& batch, Rows rows) {
  const TileAngles& tiles = weights_.tile_angles.at(attention_->rope);
  each(batch.size() * heads(), [&](size_t task, size_t) {
    const size_t s = task / heads(), head = task % heads();
    if (tiles.panels != 0) return rotate_tiles(s, head, tiles, rows == Rows::kAll);
    rotate_values(s, batch.length(s), head, weights_.angles.at(attention_->rope), rows == Rows::kAll);
  });
}

// Whole tiles; what lies behind a sequence's last token stays finite.
void TileOps::rotate_tiles(size_t sequence, size_t head, const TileAngles& angles, bool queries) {
  const size_t stride = state_.row_tiles * kTileBytes, first = starts_[sequence];
  for (size_t tile = 0; tile < starts_[sequence + 1] - first; ++tile) {
    for (size_t p = 0; p < angles.panels; ++p) {
      const size_t low = (head * head_tiles() + p) * stride + (first + tile) * kTileBytes;
      const size_t high = low + angles.panels * stride;
      if (head < attention_->kv_heads) tiles_.rotate(keys_.data() + low, keys_.data() + high, angles.at(tile, p, true));
      if (queries) tiles_.rotate(queries_.data() + low, queries_.data() + high, angles.at(tile, p, false));
    }
  }
}

// Value by value, where the halves of a head are not whole tiles.
void TileOps::rotate_values(size_t sequence, size_t length, size_t head, const std::vector<float>& angles,
                            bool queries) {
  const size_t d = attention_->head_size, stride = state_.row_tiles * kTileBytes, panel = head * head_tiles();
  for (size_t i = 0; i < length; ++i) {
    const size_t row = starts_[sequence] * kRowTile + i, tile = row / kRowTile * kTileBytes, inside = row % kRowTile;
    if (head < attention_->kv_heads) {
      rotate_row(d, &angles[i * d], [&](size_t c) {
        return keys_.data() + (panel + c / 32) * stride + tile + c % 32 / 2 * kTileRow + inside * 4 + c % 2 * 2;
      });
    }
    if (!queries) continue;
    rotate_row(d, &angles[i * d], [&](size_t c) {
      return queries_.data() + (panel + c / 32) * stride + tile + inside * kTileRow + c % 32 * 2;
    });
  }
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

void TileOps::attend(const Batch& batch, Rows rows) {
  prepare(context_, query_row_tiles_, head_panels());
  if (layer_->position_keys != nullptr || layer_->position_queries != nullptr || !weights_.tile_distances.empty()) {
    size_t longest = 0;
    for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, batch.length(s));
    for (auto& scratch : position_scratch_) scratch.resize(tiles_.position_scratch(longest, head_tiles()));
  }
  // As many heads together as leave each member of a team some jobs; with ALiBi each has its own slope. Heads that
  // share keys stay together.
  const size_t wanted = members() == 1 ? 1 : (kPiecesPerMember * members() + batch.size() - 1) / batch.size();
  const size_t key_heads = attention_->kv_heads, group = heads() / key_heads;
  const size_t pieces = attention_->position == model::PositionKind::kAlibi ? heads() : std::min(key_heads, wanted);
  each(batch.size() * pieces, [&](size_t task, size_t member) {
    const size_t piece = task % pieces, head = group * (key_heads * piece / pieces);
    TileAttention job;
    job.heads = group * (key_heads * (piece + 1) / pieces) - head;
    job.group = group;
    if (attention_->position == model::PositionKind::kAlibi) job.slope = alibi_slope(heads(), head);
    job.scratch = scratch_[member].data();
    job.position_scratch = position_scratch_[member].data();
    attend(batch, rows, task / pieces, head, job);
  });
  quantize(context_, query_row_tiles_);
}

// Heads [head, head + job.heads) of sequence s.
void TileOps::attend(const Batch& batch, Rows rows, size_t s, size_t head, TileAttention& job) {
  const size_t key_stride = state_.row_tiles * kTileBytes, query_stride = query_row_tiles_ * kTileBytes;
  const size_t context_stride = head_panels() * kTileBytes, panel = head * head_tiles();
  const size_t key_panel = head / job.group * head_tiles(), first_key = key_panel * key_stride;
  job.head_tiles = head_tiles();
  job.keys = keys_.data() + first_key + starts_[s] * kTileBytes;
  job.values = values_.data() + first_key + starts_[s] * (kTileBytes / 2);
  job.key_stride = key_stride;
  job.length = batch.length(s);
  job.window = attention_->mask == model::MaskKind::kFull ? 0 : attention_->window;
  job.first_key = sees_first();
  const size_t positions = panel * 2 * weights_.position_half * kTileBytes;
  if (layer_->position_keys != nullptr) job.position_keys = layer_->position_keys + positions;
  if (layer_->position_queries != nullptr) job.position_queries = layer_->position_queries + positions;
  job.position_half = weights_.position_half;
  if (!weights_.tile_distances.empty()) {
    job.distance_stride = weights_.distance_stride;
    job.distance_bias = weights_.tile_distances.data() + head * job.distance_stride + architecture().max_length - 1;
  }
  job.queries = queries_.data() + panel * query_stride;
  job.query_stride = query_stride;
  job.context = context_.bf16.data() + panel * kTileBytes;
  job.context_stride = context_stride;
  if (rows == Rows::kAll) {
    job.query_rows = job.length;
    job.queries += starts_[s] * kTileBytes;
    job.context += starts_[s] * context_stride;
    tiles_.attention(job);
  } else {
    job.context += s / kRowTile * context_stride + s % kRowTile * kTileRow;
  }
  if (rows == Rows::kAll && !sees_first()) return;
  if (!sees_first()) return attend_one(s, job, job.queries, query_stride);
  job.window = 0;
  job.first_key = false;
  job.keys = global_keys_.data() + first_key + starts_[s] * kTileBytes;
  job.values = global_values_.data() + first_key + starts_[s] * (kTileBytes / 2);
  const size_t stride = global_row_tiles_ * kTileBytes;
  attend_one(s, job, global_queries_.data() + panel * stride, stride);
}

// A sequence's one query, row s of `queries`, alone in a row tile.
void TileOps::attend_one(size_t s, TileAttention job, const std::byte* queries, size_t query_stride) {
  job.query_rows = 1;
  Buffer<std::byte> single(job.heads * head_tiles() * kTileBytes);
  const size_t row_tile = s / kRowTile, row = s % kRowTile * kTileRow;
  for (size_t d = 0; d < job.heads * head_tiles(); ++d)
    std::memcpy(single.data() + d * kTileBytes, queries + d * query_stride + row_tile * kTileBytes + row, kTileRow);
  job.queries = single.data();
  job.query_stride = kTileBytes;
  job.single_query = true;
  tiles_.attention(job);
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
  product({&context_, 0, state_.row_tiles, &panels, 0, panels.steps, TileResult::kAdd,
           reinterpret_cast<std::byte*>(state_.c.data()), 2 * kTileBytes, column_tiles() * kTileBytes});
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
      product({&state.inputs, row, row_tiles, &weights, 0, weights.steps, result, inner_.bf16.data(), kTileBytes,
               panels * kTileBytes, panel, panel + panels, 1, ff.activation});
    };
    if (ff.gate != model::GateHalf::kNone) inner(gate, TileResult::kInner);
    inner(up, ff.gate == model::GateHalf::kNone ? TileResult::kInner : TileResult::kGated);
    if (down.kernels->int8) quantize(inner_, row_tiles);
    const size_t inputs = down.kernels->inputs_per_tile / kPanelColumns;  // panels in an input tile
    product({&inner_, 0, row_tiles, &down, panel / inputs, (panels + inputs - 1) / inputs, TileResult::kAdd,
             reinterpret_cast<std::byte*>(state.c.data()) + row * column_stride, 2 * kTileBytes, column_stride});
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
