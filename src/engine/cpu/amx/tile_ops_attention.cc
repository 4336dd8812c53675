// The attention of TileOps: queries, keys and values of all heads, their rotation, and what each query reads.
#include <algorithm>
#include <cstring>

#include "engine/attention_pattern.h"
#include "engine/cpu/amx/tile_ops.h"
#include "engine/cpu/bf16.h"

namespace rerank::engine::cpu {
namespace {

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

void TileOps::project_to(const TilePanels& weights, State& from, TileResult result, Buffer<std::byte>& out) {
  const size_t stride = from.row_tiles * kTileBytes;
  out.resize(weights.panels * stride);
  const float factor = kScoreUnits * 1.44269504f * score_scale(*attention_);
  product({.inputs = &from.inputs,
           .first_row_tile = 0,
           .row_tiles = from.row_tiles,
           .weights = &weights,
           .first_step = 0,
           .steps = weights.steps,
           .result = result,
           .out = out.data(),
           .out_panel_stride = stride,
           .out_row_stride = result == TileResult::kValues ? kTileBytes / 2 : kTileBytes,
           .factor = result == TileResult::kQueries ? factor : 1});
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

// Whole tiles; what lies after a sequence's last token stays finite.
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

}  // namespace rerank::engine::cpu
