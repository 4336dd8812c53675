#include "engine/pjrt/stablehlo/attention.h"

#include "base/strings.h"
#include "engine/attention_pattern.h"

namespace rerank::engine::pjrt {
namespace {

constexpr float kMasked = -1e30f;  // of a score; finite, so that a row that sees nothing is no NaN

int64_t as_dim(size_t size) { return static_cast<int64_t>(size); }

}  // namespace

void ForwardAttention::begin(const Value& lengths) {
  lengths_ = lengths;
  graph_.section("which tokens lie inside their sequences", "mask");
  const Dims dims = {rows_, length_};
  inside_ = graph_.compare(graph_.iota(dims, 1), "LT", graph_.broadcast(lengths, dims, {0}));
}

std::string ForwardAttention::tensors_of(size_t block) const {
  const size_t each = a_.groups == 0 ? 1 : a_.layers() / a_.groups;
  return str_cat("block_", block / each * each, "_");
}

Value ForwardAttention::scored_rows(const Value& x) {
  if (a_.scoring.rows != model::ScoredRows::kLast) return graph_.slice(x, 1, 0, 1);
  if (!last_tokens_) {
    const Value first = graph_.multiply(graph_.iota({rows_}, 0), graph_.integer(length_, {rows_}));
    last_tokens_ = graph_.add(first, graph_.subtract(lengths_, graph_.integer(1, {rows_})));
  }
  Dims flat(x.type.dims.begin() + 1, x.type.dims.end()), dims = x.type.dims;
  flat[0] = rows_ * length_;
  dims[1] = 1;
  return graph_.reshape(graph_.rows(graph_.reshape(x, flat), *last_tokens_), dims);
}

// Whom a token sees, [rows, length, length].
Value ForwardAttention::mask(const Attention& attention) {
  const auto key = std::pair(attention.mask, attention.window);
  if (const auto found = masks_.find(key); found != masks_.end()) return found->second;
  const Dims square = {length_, length_}, cube = {rows_, length_, length_};
  Value seen = graph_.broadcast(inside_, cube, {0, 2});
  if (attention.mask != model::MaskKind::kFull) {
    if (!distances_) distances_ = graph_.subtract(graph_.iota(square, 0), graph_.iota(square, 1));
    const Value& distance = *distances_;
    const Value window = graph_.integer(as_dim(attention.window), square);
    std::optional<Value> near;
    if (attention.mask == model::MaskKind::kCausal) {
      near = graph_.compare(distance, "GE", graph_.integer(0, square));
      if (attention.window != 0) near = graph_.both(*near, graph_.compare(distance, "LT", window));
    } else {
      near = graph_.compare(graph_.absolute(distance), "LE", window);
      if (attention.mask == model::MaskKind::kWindowAndFirst)
        near = graph_.either(*near, graph_.compare(graph_.iota(square, 1), "EQ", graph_.integer(0, square)));
    }
    seen = graph_.both(seen, graph_.broadcast(*near, cube, {1, 2}));
  }
  return masks_.emplace(key, seen).first->second;
}

Value ForwardAttention::heads(const Value& x, const std::string& name, size_t count, const Attention& attention) {
  const Value wide = linear(x, name, count * attention.head_size, attention.bias);
  return graph_.reshape(wide, {rows_, x.type.dims[1], as_dim(count), as_dim(attention.head_size)});
}

// Keys or values of grouped heads, once for each head of queries.
Value ForwardAttention::repeated(const Value& x, const Attention& attention) {
  if (attention.kv_heads == attention.heads) return x;
  const int64_t each = as_dim(attention.heads / attention.kv_heads), size = as_dim(attention.head_size);
  const Value wide = graph_.broadcast(x, {rows_, x.type.dims[1], as_dim(attention.kv_heads), each, size}, {0, 1, 2, 4});
  return graph_.reshape(wide, {rows_, x.type.dims[1], as_dim(attention.heads), size});
}

Value ForwardAttention::rotated(const Value& x, const Attention& attention, bool scored) {
  const std::string& name = ropes_.try_emplace(attention.rope, str_cat("rope_", ropes_.size())).first->second;
  const int64_t half = as_dim(attention.head_size / 2);
  Dims dims = x.type.dims;
  dims[3] = half;
  const auto angles = [&](const char* part) {
    Value table = exact(name + part, {as_dim(a_.max_length), half});
    table = graph_.slice(table, 0, 0, length_);
    if (!scored) return graph_.broadcast(table, dims, {1, 3});
    return graph_.broadcast(scored_rows(graph_.broadcast(table, {rows_, length_, half}, {1, 2})), dims, {0, 1, 3});
  };
  const Value cosines = angles("_cosines"), sines = angles("_sines");
  const Value low = graph_.slice(x, 3, 0, half), high = graph_.slice(x, 3, half, 2 * half);
  const Value first = graph_.subtract(graph_.multiply(low, cosines), graph_.multiply(high, sines));
  const Value second = graph_.add(graph_.multiply(high, cosines), graph_.multiply(low, sines));
  return graph_.concatenate({first, second}, 3);
}

// Rows of the tables of relative positions, by distance. by_key: of key - query, from -(length - 1) on; else of
// query - key.
Value ForwardAttention::relative_numbers(const Attention& attention, bool by_key) {
  std::vector<int64_t> numbers;
  for (int64_t at = 0; at < 2 * length_ - 1; ++at) {
    const int64_t distance = by_key ? length_ - 1 - at : at - (length_ - 1);
    numbers.push_back(as_dim(relative_row(attention, distance)));
  }
  return graph_.integers(numbers);
}

// x [..., length, 2 length - 1] by distance -> y [..., length, length], y[i][j] = x[i][j - i + length - 1]: with a
// column more, each row lies one element earlier than the one before.
Value ForwardAttention::skewed(const Value& x) {
  const size_t last = x.type.dims.size() - 1;
  Dims flat(x.type.dims.begin(), x.type.dims.end() - 1);
  flat.back() = length_ * 2 * length_;
  const Value line = graph_.reshape(graph_.pad(x, last, 0, 1), flat);
  const Value moved = graph_.slice(line, last - 1, length_ - 1, length_ - 1 + length_ * (2 * length_ - 1));
  return graph_.slice(graph_.reshape(moved, x.type.dims), last, 0, length_);
}

// products [rows, heads, queries, keys] and what DeBERTa's relative positions add to them.
Value ForwardAttention::with_positions(size_t block, Value products, const Heads& parts, bool scored) {
  const Attention& attention = a_.blocks[block].attention;
  const int64_t count = as_dim(attention.relative.rows), heads = as_dim(attention.heads),
                size = as_dim(attention.head_size);
  const StableHlo::Contraction by_head = {.batch_a = {2}, .batch_b = {1}, .a = 3, .b = 2};
  const auto table = [&](const char* name, bool by_key) {
    const Value whole = matrix(tensors_of(block) + name, {count, heads * size});
    return graph_.reshape(graph_.rows(whole, relative_numbers(attention, by_key)), {2 * length_ - 1, heads, size});
  };
  if (attention.relative.query_to_position) {
    const Value wide = graph_.dot(parts.query, table("position_keys", true), by_head);  // [heads, rows, queries, ...]
    const Value own = scored ? graph_.slice(wide, 3, length_ - 1, 2 * length_ - 1) : skewed(wide);
    products = graph_.add(products, graph_.transpose(own, {1, 0, 2, 3}));
  }
  if (attention.relative.key_to_position) {
    const Value wide = graph_.dot(parts.key, table("position_queries", false), by_head);  // [heads, rows, keys, ...]
    const Value own = graph_.transpose(skewed(wide), {1, 0, 3, 2});
    products = graph_.add(products, scored ? graph_.slice(own, 2, 0, 1) : own);
  }
  return products;
}

// What distance adds to a score, [heads, length, length]: T5's buckets, or ALiBi.
Value ForwardAttention::bias_by_distance(const Attention& attention) {
  if (bias_) return *bias_;
  const int64_t heads = as_dim(attention.heads);
  const Dims cube = {heads, length_, length_};
  if (attention.position == model::PositionKind::kBuckets) {
    const Value table = exact("relative", {as_dim(attention.relative.rows), heads});
    const Value by_distance = graph_.transpose(graph_.rows(table, relative_numbers(attention, true)), {1, 0});
    bias_ = skewed(graph_.broadcast(by_distance, {heads, length_, 2 * length_ - 1}, {0, 2}));
    return *bias_;
  }
  std::vector<float> slopes;
  for (size_t head = 0; head < attention.heads; ++head) slopes.push_back(-alibi_slope(attention.heads, head));
  const Dims square = {length_, length_};
  const Value distance = graph_.absolute(graph_.subtract(graph_.iota(square, 0), graph_.iota(square, 1)));
  bias_ = graph_.multiply(graph_.broadcast(graph_.convert(distance, Element::kF32), cube, {1, 2}),
                          graph_.broadcast(graph_.floats(slopes), cube, {0}));
  return *bias_;
}

// softmax(scores) v: scores [rows, heads, queries, keys], `seen` [rows, queries, keys], value [rows, keys, heads, size]
Value ForwardAttention::mixed(const Attention& attention, Value scores, const Value& seen, const Value& value) {
  const Dims& dims = scores.type.dims;
  scores = graph_.select(graph_.broadcast(seen, dims, {0, 2, 3}), scores, graph_.constant(kMasked, dims));
  const Value probabilities = graph_.convert(softmax(scores), matrices_);
  const Value sum = graph_.dot(probabilities, graph_.convert(value, matrices_),
                               {.batch_a = {0, 1}, .batch_b = {0, 2}, .a = 3, .b = 1});
  const Value ordered = graph_.transpose(sum, {0, 2, 1, 3});
  return graph_.reshape(ordered, {rows_, dims[2], as_dim(attention.heads * attention.head_size)});
}

// Longformer's first token has projections of its own, and sees all.
Value ForwardAttention::first_rows_context(size_t block, const Value& input) {
  const Attention& attention = a_.blocks[block].attention;
  const std::string at = tensors_of(block);
  const Value query = heads(graph_.slice(input, 1, 0, 1), at + "global_query", attention.heads, attention);
  const Value key = heads(input, at + "global_key", attention.heads, attention);
  const Value value = heads(input, at + "global_value", attention.heads, attention);
  const Value products = graph_.dot(graph_.convert(query, matrices_), graph_.convert(key, matrices_),
                                    {.batch_a = {0, 2}, .batch_b = {0, 2}, .a = 3, .b = 3});
  const Value scores = graph_.scaled(products, score_scale(attention));
  return mixed(attention, scores, graph_.reshape(inside_, {rows_, 1, length_}), value);
}

Value ForwardAttention::context(size_t block, const Value& input, bool scored) {
  const Attention& attention = a_.blocks[block].attention;
  const std::string at = tensors_of(block);
  const bool first_is_global = attention.mask == model::MaskKind::kWindowAndFirst;
  if (first_is_global && (scored || length_ == 1)) return first_rows_context(block, input);
  Heads parts = {heads(scored ? scored_rows(input) : input, at + "query", attention.heads, attention),
                 heads(input, at + "key", attention.kv_heads, attention),
                 heads(input, at + "value", attention.kv_heads, attention)};
  if (attention.query_key_norm) {
    parts.query = block_norm(parts.query, at + "query_norm");
    parts.key = block_norm(parts.key, at + "key_norm");
  }
  if (attention.position == model::PositionKind::kRope) {
    parts.query = rotated(parts.query, attention, scored);
    parts.key = rotated(parts.key, attention, false);
  }
  parts.query = graph_.convert(parts.query, matrices_);
  parts.key = graph_.convert(repeated(parts.key, attention), matrices_);
  Value products = graph_.dot(parts.query, parts.key, {.batch_a = {0, 2}, .batch_b = {0, 2}, .a = 3, .b = 3});
  if (attention.position == model::PositionKind::kDisentangled)
    products = with_positions(block, products, parts, scored);
  Value scores = capped(graph_.scaled(products, score_scale(attention)), attention.softcap);
  if (attention.position == model::PositionKind::kBuckets || attention.position == model::PositionKind::kAlibi) {
    Value bias = bias_by_distance(attention);
    if (scored) bias = graph_.slice(bias, 1, 0, 1);
    scores = graph_.add(scores, graph_.broadcast(bias, scores.type.dims, {1, 2, 3}));
  }
  Value seen = mask(attention);
  if (scored) seen = scored_rows(seen);
  Value all = mixed(attention, scores, seen, repeated(parts.value, attention));
  if (!first_is_global) return all;
  return graph_.concatenate({first_rows_context(block, input), graph_.slice(all, 1, 1, length_)}, 1);
}

}  // namespace rerank::engine::pjrt
