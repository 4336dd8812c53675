#include "engine/cpu/vector/cpu_ops.h"

#include <algorithm>
#include <cmath>

#include "engine/attention_pattern.h"
#include "engine/experts.h"

namespace rerank::engine::cpu {
namespace {

// Rows taken through the feed-forward part together: their inner activations (192 x 4096 fp32 = 3 MB at most) stay
// near.
constexpr size_t kFeedForwardRows = 192;

void set_mask(const model::Attention& attention, AttentionArgs& args) {
  args.softcap = attention.softcap;
  if (attention.mask == model::MaskKind::kWindow || attention.mask == model::MaskKind::kWindowAndFirst)
    args.before = args.after = attention.window;
  if (attention.mask != model::MaskKind::kCausal) return;
  args.after = 0;
  if (attention.window != 0) args.before = attention.window - 1;
}

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
  norm_rows(stream_, rows_, weights_.layer(layer).attention_norm, normed_);
  input_ = &normed_;
}

void CpuOps::project(size_t layer, const Batch& batch, Rows rows) {
  const CpuLayer& packed = weights_.layer(layer);
  const PackedLinear& w = packed.query_key_value;
  attention_ = &attention(layer);
  layer_ = layer;
  const size_t panel = columns(), queries_width = query_width();
  projected_.resize(rows_, queries_width + 2 * key_width(), panel);
  LinearJob job = whole(w, *input_, 0, rows_, projected_, 0);
  if (rows == Rows::kScored) job.first_panel = queries_width / panel;
  run(job);
  if (rows == Rows::kScored) {
    // Keys and values of every row; queries of the scored rows only. A panel that straddles the border belongs to both.
    gather(batch, stream_, scored_stream_);
    if (input_ != &stream_) gather(batch, *input_, scored_input_);
    scored_queries_.resize(batch.size(), queries_width, panel);
    const PackedLinear& own = packed.scored_query;
    const PaddedMatrix& from = input_ != &stream_ ? scored_input_ : scored_stream_;
    LinearJob queries = whole(own.panels() != 0 ? own : w, from, 0, batch.size(), scored_queries_, 0);
    queries.last_panel = (queries_width + panel - 1) / panel;
    run(queries);
  }
  if (packed.global_query.panels() != 0) {
    const size_t rows_of_keys = rows_;
    global_keys_.resize(rows_of_keys, 2 * key_width(), panel);
    run(whole(packed.global_key_value, *input_, 0, rows_of_keys, global_keys_, 0));
    gather(batch, *input_, first_rows_);  // the scored row is the first
    global_queries_.resize(batch.size(), queries_width, panel);
    run(whole(packed.global_query, first_rows_, 0, batch.size(), global_queries_, 0));
  }
  finish_heads(layer, batch, rows);
  keep_keys(layer, batch);
}

void CpuOps::keep_keys(size_t layer, const Batch& batch) {
  for (size_t s = 0; s < runs_.size(); ++s) {
    if (runs_[s].keep == nullptr) continue;
    for (size_t i = 0; i < batch.length(s); ++i)
      std::copy_n(projected_.row(batch.offsets[s] + i) + query_width(), 2 * key_width(), runs_[s].keep->row(layer, i));
  }
}

void CpuOps::gather(const Batch& batch, const PaddedMatrix& from, PaddedMatrix& to) const {
  const size_t hidden = architecture().hidden;
  to.resize(batch.size(), hidden, columns());
  for (size_t s = 0; s < batch.size(); ++s)
    std::copy_n(from.row(scored_row(architecture(), batch, s)), hidden, to.row(s));
}

void CpuOps::finish_heads(size_t layer, const Batch& batch, Rows rows) {
  const CpuLayer& w = weights_.layer(layer);
  const bool rope = attention_->position == model::PositionKind::kRope;
  if (!rope && w.query_norm.empty()) return;
  const float* angles = rope ? weights_.angles.at(attention_->rope).data() : nullptr;
  const size_t heads = attention_->heads, d = attention_->head_size;
  const auto at = [&](size_t position) { return rope ? angles + position * d : nullptr; };
  each(batch.size(), [&](size_t s, size_t) {
    const size_t start = start_of(s);
    for (size_t i = 0; i < batch.length(s); ++i) {
      float* row = projected_.row(batch.offsets[s] + i);
      if (rows == Rows::kAll) finish_row(w.query_norm, row, heads, at(start + i));
      finish_row(w.key_norm, row + heads * d, attention_->kv_heads, at(start + i));
    }
    if (rows == Rows::kAll) return;
    const size_t position = start + scored_row(architecture(), batch, s) - batch.offsets[s];
    finish_row(w.query_norm, scored_queries_.row(s), heads, at(position));
  });
}

void CpuOps::finish_row(const CpuNorm& norm, float* heads, size_t count, const float* angles) {
  const size_t d = attention_->head_size;
  if (!norm.empty()) norm_in_place(heads, count, d, norm);
  if (angles != nullptr) kernels_.rotate(heads, count, d, angles);
}

void CpuOps::attend(const Batch& batch, Rows rows) {
  const model::Attention& attention = *attention_;
  const size_t d = attention.head_size, tasks = attention.kv_heads, group = attention.heads / tasks;
  size_t longest = 0;
  for (size_t s = 0; s < batch.size(); ++s) longest = std::max(longest, start_of(s) + batch.length(s));
  for (auto& scratch : scratch_) scratch.resize(kernels_.attention_scratch(longest, d));
  if (attention_->position == model::PositionKind::kDisentangled || !weights_.distance_bias.empty())
    for (auto& scratch : position_scratch_) scratch.resize(kernels_.position_scratch(longest, d));
  const bool scored = rows == Rows::kScored;
  context_.resize(scored ? batch.size() : rows_, query_width(), columns());
  if (attention.mask == model::MaskKind::kWindowAndFirst) return attend_globally(batch, rows);
  each(batch.size() * tasks, [&](size_t task, size_t member) {
    const size_t s = task / tasks, key_head = task % tasks, column = key_head * group * d, row = batch.offsets[s];
    const size_t start = start_of(s);
    const float* keys = projected_.row(row) + query_width() + key_head * d;
    const KeyRows own = {keys, keys + key_width(), projected_.stride(), batch.length(s)};
    AttentionArgs args;
    args.queries = scored ? scored_queries_.row(s) + column : projected_.row(row) + column;
    args.query_stride = scored ? scored_queries_.stride() : projected_.stride();
    args.query_rows = scored ? 1 : batch.length(s);
    args.query_heads = group;
    args.first_position = start + (scored ? scored_row(architecture(), batch, s) - row : 0);
    std::vector<KeyRows> pieces;
    if (start != 0) pieces_of(s, key_head, own, pieces);
    args.pieces = start == 0 ? std::span(&own, 1) : std::span<const KeyRows>(pieces);
    args.length = start + batch.length(s);
    args.head_size = d;
    args.scale = score_scale(attention);
    set_mask(attention, args);
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
    args.context = context_.row(scored ? s : row) + column;
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
  norm_rows(stream_, rows_, weights_.layer(layer).output_norm, normed_);
  input_ = &normed_;
}

void CpuOps::add_feed_forward(size_t layer) {
  const PaddedMatrix& input = *input_;
  if (feed_forward(layer).experts) {
    add_experts(layer, input);
    input_ = &stream_;
    return;
  }
  for (size_t row = 0; row < rows_; row += kFeedForwardRows)
    feed_forward_rows(layer, input, row, std::min(kFeedForwardRows, rows_ - row));
  input_ = &stream_;
}

void CpuOps::feed_forward_rows(size_t layer, const PaddedMatrix& input, size_t row, size_t rows) {
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
  add_sum(whole(w.down, inner_, 0, rows, stream_, row), w.output_sum_norm);
  if (!order(layer).pre_norm) norm_rows(stream_, row, rows, w.output_norm);
}

void CpuOps::add_experts(size_t layer, const PaddedMatrix& input) {
  const CpuLayer& w = weights_.layer(layer);
  const model::FeedForward& ff = feed_forward(layer);
  const size_t hidden = architecture().hidden;
  router_.resize(rows_, ff.experts->count, columns());
  run(whole(w.router, input, 0, rows_, router_, 0));
  std::vector<std::vector<ExpertShare>> rows(ff.experts->count);  // of each expert: row instead of expert
  std::vector<ExpertShare> chosen;
  for (size_t r = 0; r < rows_; ++r) {
    choose_experts(*ff.experts, {router_.row(r), ff.experts->count}, chosen);
    for (const auto& [expert, weight] : chosen) rows[expert].push_back({r, weight});
  }
  mixed_.resize(rows_, hidden, columns());
  for (size_t r = 0; r < rows_; ++r) {
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
  for (size_t r = 0; r < rows_; ++r) {
    for (size_t c = 0; c < hidden; ++c) stream_.row(r)[c] += mixed_.row(r)[c];
  }
  if (!order(layer).pre_norm) norm_rows(stream_, 0, rows_, w.output_norm);
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
