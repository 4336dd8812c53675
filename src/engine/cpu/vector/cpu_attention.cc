// The verbs of cpu_ops.h on heads: rotations and norms, and attention of whole groups and of chunks.
#include <algorithm>

#include "engine/attention_pattern.h"
#include "engine/cpu/vector/cpu_ops.h"

namespace rerank::engine::cpu {
namespace {

constexpr size_t kTaskRows = 64;  // of one thread at a time, where rows are computed one by one
constexpr size_t kUnseenKeys =
    128;  // a multiple of every tier's panels: sums of the keys that are seen keep their order

void set_mask(const model::Attention& attention, AttentionArgs& args) {
  args.softcap = attention.softcap;
  if (attention.mask == model::MaskKind::kWindow || attention.mask == model::MaskKind::kWindowAndFirst)
    args.before = args.after = attention.window;
  if (attention.mask != model::MaskKind::kCausal) return;
  args.after = 0;
  if (attention.window != 0) args.before = attention.window - 1;
}

}  // namespace

std::vector<CpuOps::Part> CpuOps::parts_of(const Batch& batch, size_t first, size_t count) const {
  std::vector<Part> parts;
  for (size_t s = 0; s < batch.size(); ++s) {
    const size_t begin = std::max<size_t>(batch.offsets[s], first);
    const size_t end = std::min<size_t>(batch.offsets[s + 1], first + count);
    if (begin < end) parts.push_back({s, begin, end});
  }
  return parts;
}

void CpuOps::finish_heads(size_t layer, const Batch& batch, size_t first, size_t count, bool queries) {
  const CpuLayer& w = weights_.layer(layer);
  const bool rope = attention_->position == model::PositionKind::kRope;
  if (!rope && w.query_norm.empty()) return;
  const float* angles = rope ? weights_.angles.at(attention_->rope).data() : nullptr;
  const size_t heads = attention_->heads, d = attention_->head_size;
  const auto at = [&](size_t position) { return rope ? angles + position * d : nullptr; };
  each((count + kTaskRows - 1) / kTaskRows, [&](size_t task, size_t) {
    const size_t from = first + task * kTaskRows;
    for (const auto& [s, begin, end] : parts_of(batch, from, std::min(kTaskRows, first + count - from))) {
      const size_t start = start_of(s);
      for (size_t i = begin; i < end; ++i) {
        float* row = projected_.row(i - first);
        const float* turned = at(start + i - batch.offsets[s]);
        if (queries) finish_row(w.query_norm, row, heads, turned);
        finish_row(w.key_norm, row + heads * d, attention_->kv_heads, turned);
      }
    }
  });
}

void CpuOps::finish_row(const CpuNorm& norm, float* heads, size_t count, const float* angles) {
  const size_t d = attention_->head_size;
  if (!norm.empty()) norm_in_place(heads, count, d, norm);
  if (angles != nullptr) kernels_.rotate(heads, count, d, angles);
}

void CpuOps::make_attention_room(const Batch& batch) {
  const size_t d = attention_->head_size;
  size_t longest = 0;
  for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, start_of(s) + batch.length(s));
  for (auto& scratch : scratch_) scratch.resize(kernels_.attention_scratch(longest, d));
  if (attention_->position == model::PositionKind::kDisentangled || !weights_.distance_bias.empty())
    for (auto& scratch : position_scratch_) scratch.resize(kernels_.position_scratch(longest, d));
}

void CpuOps::attend(const Batch& batch, Rows rows) {
  make_attention_room(batch);
  const bool scored = rows == Rows::kScored;
  context_.resize(scored ? batch.size() : rows_, query_width(), columns());
  if (attention_->mask == model::MaskKind::kWindowAndFirst) return attend_globally(batch, rows);
  attend_parts(batch, 0, batch.tokens(), scored);
}

void CpuOps::attend_parts(const Batch& batch, size_t first, size_t count, bool scored) {
  const model::Attention& attention = *attention_;
  const size_t d = attention.head_size, tasks = attention.kv_heads, group = attention.heads / tasks;
  const PaddedMatrix& key_rows = in_chunks_ ? keys_ : projected_;
  const size_t key_column = in_chunks_ ? 0 : query_width();
  const std::vector<Part> parts = parts_of(batch, first, count);
  each(parts.size() * tasks, [&](size_t task, size_t member) {
    const auto& [s, begin, end] = parts[task / tasks];
    const size_t key_head = task % tasks, column = key_head * group * d, row = batch.offsets[s];
    const size_t start = start_of(s);
    AttentionArgs args;
    args.queries = scored ? scored_queries_.row(s) + column : projected_.row(begin - first) + column;
    args.query_stride = scored ? scored_queries_.stride() : projected_.stride();
    args.query_rows = scored ? 1 : end - begin;
    args.query_heads = group;
    args.first_position = start + (scored ? scored_row(architecture(), batch, s) : begin) - row;
    args.length = start + end - row;
    args.head_size = d;
    args.scale = score_scale(attention);
    set_mask(attention, args);
    // Whole panels of keys that no query sees are left out, where there are none before the sequence's own.
    size_t unseen = 0;
    if (start == 0 && args.after == 0 && args.first_position > args.before)
      unseen = (args.first_position - args.before) / kUnseenKeys * kUnseenKeys;
    const float* keys = key_rows.row(row + unseen) + key_column + key_head * d;
    const KeyRows own = {keys, keys + key_width(), key_rows.stride(), end - row - unseen};
    args.first_position -= unseen;
    args.length -= unseen;
    std::vector<KeyRows> pieces;
    if (start != 0) pieces_of(s, key_head, own, pieces);
    args.pieces = start == 0 ? std::span(&own, 1) : std::span<const KeyRows>(pieces);
    if (attention.position == model::PositionKind::kAlibi) args.slope = alibi_slope(tasks, key_head);
    // Relative positions: models with them have as many heads of keys as of queries.
    if (!weights_.distance_bias.empty())
      args.distance_bias = weights_.distance_bias[key_head].data() + architecture().max_length - 1;
    PositionPanels positions;
    if (attention.position == model::PositionKind::kDisentangled) {
      const CpuLayer& w = weights_.layer(layer_);
      if (w.position_keys.panels != nullptr)
        positions.keys = w.position_keys.panels + key_head * w.position_keys.head_bytes;
      if (w.position_queries.panels != nullptr)
        positions.queries = w.position_queries.panels + key_head * w.position_queries.head_bytes;
      positions.half = weights_.position_half;
      args.positions = &positions;
    }
    args.position_scratch = position_scratch_[member].data();
    args.context = context_.row(scored ? s : begin - first) + column;
    args.context_stride = context_.stride();
    args.scratch = scratch_[member].data();
    kernels_.attention(args);
  });
}

// A query that does not see the first token through its window gets it as a piece of its own, in front of its keys.
void CpuOps::attend_globally(const Batch& batch, Rows rows) {
  const size_t d = attention_->head_size, window = attention_->window;
  const bool scored = rows == Rows::kScored;
  each(batch.size() * attention_->heads, [&](size_t task, size_t member) {
    const size_t s = task / attention_->heads, column = task % attention_->heads * d, row = batch.offsets[s];
    const size_t length = batch.length(s);
    const auto rows_from = [&](const PaddedMatrix& matrix, size_t before, size_t first, size_t count) {
      const float* keys = matrix.row(row + first) + before + column;
      return KeyRows{keys, keys + key_width(), matrix.stride(), count};
    };
    AttentionArgs args;
    args.head_size = d;
    args.scale = score_scale(*attention_);
    args.scratch = scratch_[member].data();
    args.context_stride = context_.stride();
    const auto compute = [&](const float* queries, size_t count, float* context, std::span<const KeyRows> pieces) {
      args.queries = queries;
      args.query_rows = count;
      args.context = context;
      args.pieces = pieces;
      args.length = 0;
      for (const KeyRows& piece : pieces) args.length += piece.count;
      kernels_.attention(args);
    };
    const size_t near = scored ? 0 : std::min(length, window + 1);  // these see it through their window
    if (near > 1) {
      args.query_stride = projected_.stride();
      args.before = args.after = window;
      const KeyRows own[] = {rows_from(projected_, query_width(), 0, std::min(length, near + window))};
      compute(projected_.row(row) + column, near, context_.row(row) + column, own);
    }
    args.query_stride = projected_.stride();
    args.before = args.after = kAllPositions;
    for (size_t i = near; !scored && i < length; ++i) {
      const KeyRows own[] = {
          rows_from(projected_, query_width(), 0, 1),
          rows_from(projected_, query_width(), i - window, std::min(length, i + window + 1) - (i - window))};
      compute(projected_.row(row + i) + column, 1, context_.row(row + i) + column, own);
    }
    args.query_stride = global_queries_.stride();
    const KeyRows all[] = {rows_from(global_keys_, 0, 0, length)};
    compute(global_queries_.row(s) + column, 1, context_.row(scored ? s : row) + column, all);
  });
}

void CpuOps::pieces_of(size_t s, size_t key_head, const KeyRows& own, std::vector<KeyRows>& pieces) const {
  for (const KeptView& view : *runs_[s].before) {
    const float* keys = view.keys->row(layer_, 0) + key_head * attention_->head_size;
    pieces.push_back({keys, keys + key_width(), view.keys->width(), view.tokens});
  }
  pieces.push_back(own);
}

}  // namespace rerank::engine::cpu
