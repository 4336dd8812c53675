#include "convert/onnx_attention.h"

#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "engine/attention_pattern.h"

namespace rerank::convert {
namespace {

using onnx::TensorProto;

constexpr float kMasked = -10000;  // added to the scores of padding; far enough for fp16, too

std::string float_bytes(float value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

}  // namespace

void OnnxAttention::begin() {
  const model::Attention& attention = a_.blocks[0].attention;
  const auto heads = static_cast<int64_t>(attention.heads), kv_heads = static_cast<int64_t>(attention.kv_heads),
             head_size = static_cast<int64_t>(attention.head_size);
  context_shape_ = graph_.integers("context_shape", {0, 0, heads * head_size});
  head_shape_ = graph_.integers("head_shape", {0, 0, heads, head_size});
  key_head_shape_ = kv_heads == heads ? head_shape_ : graph_.integers("key_head_shape", {0, 0, kv_heads, head_size});
  const float scale = attention.score_scale;  // fusions look for the root itself
  root_ = scalar("head_size_root", scale != 0 ? 1 / scale : std::sqrt(static_cast<float>(attention.head_size)));
  make_masks();
}

std::string OnnxAttention::distances() {
  return is_new("distances") ? graph_.node("Abs", {signed_distances()}, "distances") : "distances";
}

OnnxAttention::Mask OnnxAttention::mask_of(const model::Attention& attention) {
  const bool full = attention.mask == model::MaskKind::kFull;
  return {attention.mask == model::MaskKind::kCausal, attention.mask == model::MaskKind::kWindowAndFirst,
          full ? 0 : attention.window};
}

// Of padding; and next to it of each other mask.
void OnnxAttention::make_masks() {
  const std::string rows =
      graph_.node("Unsqueeze", {"attention_mask"}, "mask_rows", {{"axes", std::vector<int64_t>{1}}});
  const std::string all = graph_.node("Unsqueeze", {rows}, "mask_heads", {{"axes", std::vector<int64_t>{2}}});
  const std::string cast = graph_.node("Cast", {all}, "mask_cast", {{"to", int64_t{type_}}});
  const std::string padding = graph_.node("Sub", {one(), cast}, "mask_padding");
  const std::string of_padding = masks_[{}] = graph_.node("Mul", {padding, scalar("masked", kMasked)}, "mask");
  for (const model::Block& block : a_.blocks) {
    const Mask mask = mask_of(block.attention);
    if (masks_.contains(mask)) continue;
    const std::string kind = mask.causal ? "causal" : mask.first ? "window_and_first" : "window";
    const std::string name = str_cat(kind, mask.window != 0 ? "_" : "", mask.window != 0 ? str_cat(mask.window) : "");
    const std::string number = graph_.node("Cast", {masked(mask, name)}, name + "_number", {{"to", int64_t{type_}}});
    masks_[mask] =
        graph_.node("Add", {of_padding, graph_.node("Mul", {number, "masked"}, name + "_masked")}, name + "_mask");
  }
}

// Of every two positions, i and j: whether i does not see j.
std::string OnnxAttention::masked(const Mask& mask, const std::string& name) {
  const auto limit = [&](size_t value) {
    return graph_.weights(name + "_limit", TensorProto::FLOAT, {}, float_bytes(static_cast<float>(value)));
  };
  if (!mask.causal) {
    std::string far = graph_.node("Greater", {distances(), limit(mask.window)}, name + "_far");
    if (!mask.first) return far;
    signed_distances();
    if (is_new("position_begin")) graph_.weights("position_begin", TensorProto::FLOAT, {}, float_bytes(0));
    const std::string later = graph_.node("Greater", {"position_floats", "position_begin"}, name + "_later");
    return graph_.node("And", {far, later}, name + "_unseen");
  }
  if (is_new("position_none")) graph_.weights("position_none", TensorProto::FLOAT, {}, float_bytes(0));
  std::string later = graph_.node("Less", {signed_distances(), "position_none"}, name + "_later");
  if (mask.window == 0) return later;
  const std::string far = graph_.node("Greater", {signed_distances(), limit(mask.window - 1)}, name + "_far");
  return graph_.node("Or", {later, far}, name + "_unseen");
}

// Heads of keys or values, [batch, kv heads, ...], once for each head of queries.
std::string OnnxAttention::of_groups(const std::string& heads, const model::Attention& attention,
                                     const std::string& name) {
  if (attention.kv_heads == attention.heads) return heads;
  std::vector<int64_t> numbers;
  for (size_t head = 0; head < attention.heads; ++head)
    numbers.push_back(static_cast<int64_t>(head / (attention.heads / attention.kv_heads)));
  if (is_new("key_heads")) graph_.integers("key_heads", numbers);
  return graph_.node("Gather", {heads, "key_heads"}, name, {{"axis", int64_t{1}}});
}

std::string OnnxAttention::context(size_t number, const std::string& input, const std::string& at) {
  const model::LayerWeights& w = weights_.layers[number];
  const model::Attention& attention = a_.blocks[number].attention;
  const bool rope = attention.position == model::PositionKind::kRope;
  const auto heads_of = [&](const model::Linear& linear_weights, const std::optional<model::Norm>& head_norm,
                            const std::string& name, std::vector<int64_t> order) {
    const std::string rows = linear(input, linear_weights, at + name);
    std::string split =
        graph_.node("Reshape", {rows, name == "query" ? head_shape_ : key_head_shape_}, at + name + "_split");
    if (head_norm) split = norm(split, *head_norm, at + name + "_norm", a_.norm_epsilon);
    return graph_.node("Transpose", {split}, at + name + "_heads", {{"perm", std::move(order)}});
  };
  const std::vector<int64_t> as_rows = {0, 2, 1, 3}, as_columns = {0, 2, 3, 1};
  std::string query = heads_of(w.query, w.query_norm, "query", as_rows);
  std::string key = heads_of(w.key, w.key_norm, "key", rope ? as_rows : as_columns);
  const std::string value = of_groups(heads_of(w.value, {}, "value", as_rows), attention, at + "value_of_groups");
  if (rope) {
    query = rotated(query, attention, at + "query");
    key = graph_.node("Transpose", {rotated(key, attention, at + "key")}, at + "key_transposed",
                      {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  }
  key = of_groups(key, attention, at + "key_of_groups");
  std::string products = graph_.node("MatMul", {query, key}, at + "products");
  if (attention.position == model::PositionKind::kDisentangled)
    products = with_positions(number, products, query, key, at);
  std::string scores = graph_.node("Div", {products, root_}, at + "scores");
  if (attention.position == model::PositionKind::kBuckets)
    scores = graph_.node("Add", {scores, bucket_bias(attention)}, at + "scores_by_distance");
  if (attention.position == model::PositionKind::kAlibi)
    scores = graph_.node("Sub", {scores, alibi(attention)}, at + "scores_by_distance");
  if (attention.softcap != 0) scores = capped(scores, attention.softcap, at + "capped_scores");
  const std::string masked = graph_.node("Add", {scores, masks_.at(mask_of(attention))}, at + "masked_scores");
  const std::string shares = graph_.node("Softmax", {masked}, at + "shares", {{"axis", int64_t{3}}});
  std::string mixed = graph_.node("MatMul", {shares, value}, at + "mixed");
  if (attention.mask == model::MaskKind::kWindowAndFirst) mixed = with_global_row(mixed, number, input, at);
  const std::string order =
      graph_.node("Transpose", {mixed}, at + "mixed_rows", {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  return graph_.node("Reshape", {order, context_shape_}, at + "context");
}

// mixed [batch, heads, length, head size] with the first row of each sequence replaced: the first token sees all,
// through projections of its own.
std::string OnnxAttention::with_global_row(const std::string& mixed, size_t number, const std::string& input,
                                           const std::string& at) {
  const model::LayerWeights& w = weights_.layers[number];
  for (const auto& [name, value] : {std::pair("row_begin", int64_t{0}), {"row_second", 1}, {"row_end", INT32_MAX}})
    if (is_new(name)) graph_.integers(name, {value});
  if (is_new("axis_of_rows")) graph_.integers("axis_of_rows", {1});
  if (is_new("axis_of_head_rows")) graph_.integers("axis_of_head_rows", {2});
  const auto heads_of = [&](const std::string& rows, const model::Linear& linear_weights, const std::string& name,
                            std::vector<int64_t> order) {
    const std::string split =
        graph_.node("Reshape", {linear(rows, linear_weights, at + name), head_shape_}, at + name + "_split");
    return graph_.node("Transpose", {split}, at + name + "_heads", {{"perm", std::move(order)}});
  };
  const std::string first = graph_.node("Slice", {input, "row_begin", "row_second", "axis_of_rows"}, at + "first_row");
  const std::string query = heads_of(first, *w.global_query, "global_query", {0, 2, 1, 3});
  const std::string key = heads_of(input, *w.global_key, "global_key", {0, 2, 3, 1});
  const std::string value = heads_of(input, *w.global_value, "global_value", {0, 2, 1, 3});
  const std::string products = graph_.node("MatMul", {query, key}, at + "global_products");
  const std::string masked = graph_.node(
      "Add", {graph_.node("Div", {products, root_}, at + "global_scores"), masks_.at({})}, at + "global_masked_scores");
  const std::string shares = graph_.node("Softmax", {masked}, at + "global_shares", {{"axis", int64_t{3}}});
  const std::string own = graph_.node("MatMul", {shares, value}, at + "global_mixed");
  const std::string others =
      graph_.node("Slice", {mixed, "row_second", "row_end", "axis_of_head_rows"}, at + "local_mixed");
  return graph_.node("Concat", {own, others}, at + "all_mixed", {{"axis", int64_t{2}}});
}

// RoPE of [batch, heads, length, head size].
std::string OnnxAttention::rotated(const std::string& x, const model::Attention& attention, const std::string& name) {
  const auto half = static_cast<int64_t>(attention.head_size / 2);
  const auto [cosines, sines] = angles(attention);
  for (const auto& [key, number] :
       {std::pair("half_begin", int64_t{0}), {"half_middle", half}, {"half_end", 2 * half}, {"half_axis", 3}})
    if (is_new(key)) graph_.integers(key, {number});
  const std::string low = graph_.node("Slice", {x, "half_begin", "half_middle", "half_axis"}, name + "_low");
  const std::string high = graph_.node("Slice", {x, "half_middle", "half_end", "half_axis"}, name + "_high");
  const auto product = [&](const std::string& values, const std::string& factors, const char* part) {
    return graph_.node("Mul", {values, factors}, name + part);
  };
  const std::string first =
      graph_.node("Sub", {product(low, cosines, "_low_cos"), product(high, sines, "_high_sin")}, name + "_rotated_low");
  const std::string second = graph_.node("Add", {product(high, cosines, "_high_cos"), product(low, sines, "_low_sin")},
                                         name + "_rotated_high");
  return graph_.node("Concat", {first, second}, name + "_rotated", {{"axis", int64_t{3}}});
}

// Of the batch's positions, [length, head size / 2] each.
std::pair<std::string, std::string> OnnxAttention::angles(const model::Attention& attention) {
  std::pair<std::string, std::string>& found = angles_[attention.rope];
  if (!found.first.empty()) return found;
  const size_t half = attention.head_size / 2;
  const std::vector<float> table = engine::rope_table(attention.rope, attention.head_size, a_.max_length);
  std::vector<float> parts[2];
  for (size_t position = 0; position < a_.max_length; ++position) {
    for (size_t part = 0; part < 2; ++part) {
      const auto from = table.begin() + static_cast<ptrdiff_t>(position * attention.head_size + part * half);
      parts[part].insert(parts[part].end(), from, from + static_cast<ptrdiff_t>(half));
    }
  }
  const std::string name = str_cat("rope_", angles_.size());
  const std::vector<int64_t> shape = {static_cast<int64_t>(a_.max_length), static_cast<int64_t>(half)};
  found = {used_rows(weights(name + "_cosines", shape, parts[0]), name + "_cosines_used"),
           used_rows(weights(name + "_sines", shape, parts[1]), name + "_sines_used")};
  return found;
}

// What distance takes off a score, [heads, length, length].
std::string OnnxAttention::alibi(const model::Attention& attention) {
  if (!is_new("alibi")) return "alibi";
  std::vector<float> slopes;
  for (size_t head = 0; head < attention.heads; ++head) slopes.push_back(engine::alibi_slope(attention.heads, head));
  const std::string table = weights("slopes", {static_cast<int64_t>(attention.heads), 1, 1}, slopes);
  const std::string far = graph_.node("Cast", {distances()}, "alibi_distances", {{"to", int64_t{type_}}});
  return graph_.node("Mul", {far, table}, "alibi");
}

// The row of the tables for every two positions, [length, length].
std::string OnnxAttention::relative_rows(const model::Attention& attention) {
  if (!is_new("relative_rows")) return "relative_rows";
  std::string numbers(2 * a_.max_length * sizeof(int64_t), '\0');  // by i - j + max_length
  for (size_t i = 0; i < 2 * a_.max_length; ++i) {
    const auto distance = static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(a_.max_length);
    const auto row = static_cast<int64_t>(engine::relative_row(attention, distance));
    std::memcpy(numbers.data() + i * sizeof row, &row, sizeof row);
  }
  const std::string table = graph_.weights("relative_row_of", TensorProto::INT64,
                                           {static_cast<int64_t>(2 * a_.max_length)}, std::move(numbers));
  const std::string whole =
      graph_.node("Cast", {signed_distances()}, "distances_whole", {{"to", int64_t{TensorProto::INT64}}});
  const std::string moved = graph_.node(
      "Add", {whole, graph_.integer("relative_middle", static_cast<int64_t>(a_.max_length))}, "distances_moved");
  return graph_.node("Gather", {table, moved}, "relative_rows");
}

// [heads, length, length]
std::string OnnxAttention::bucket_bias(const model::Attention& attention) {
  if (!is_new("bucket_bias")) return "bucket_bias";
  const std::string rows =
      graph_.node("Gather", {table_of("bucket_table", *weights_.relative), relative_rows(attention)}, "bucket_rows");
  return graph_.node("Transpose", {rows}, "bucket_bias", {{"perm", std::vector<int64_t>{2, 0, 1}}});
}

// PK or PQ of a block, [heads, head size, rows].
std::string OnnxAttention::positions_of(const model::Linear& projection, const std::string& name) {
  if (relative_.empty()) relative_ = engine::relative_table(weights_, a_);
  const std::vector<float> rows = engine::projected_positions(relative_, projection);
  const model::Attention& attention = a_.blocks[0].attention;
  const size_t d = attention.head_size, count = attention.relative.rows;
  std::vector<float> transposed(rows.size());
  for (size_t head = 0; head < attention.heads; ++head) {
    for (size_t c = 0; c < d; ++c) {
      for (size_t row = 0; row < count; ++row)
        transposed[(head * d + c) * count + row] = rows[row * projection.out() + head * d + c];
    }
  }
  return weights(name, {static_cast<int64_t>(attention.heads), static_cast<int64_t>(d), static_cast<int64_t>(count)},
                 transposed);
}

// products [batch, heads, length, length] and what relative positions add to them; query as rows, key as columns.
std::string OnnxAttention::with_positions(size_t number, std::string products, const std::string& query,
                                          const std::string& key, const std::string& at) {
  const model::LayerWeights& w = weights_.layers[number];
  const std::string rows = relative_rows(a_.blocks[number].attention);
  if (is_new("relative_shape")) graph_.node("Shape", {products}, "relative_shape");
  const std::vector<int64_t> turn = {0, 1, 3, 2};
  if (w.position_key) {
    const std::string wide =
        graph_.node("MatMul", {query, positions_of(*w.position_key, at + "position_keys")}, at + "query_positions");
    if (is_new("query_rows")) graph_.node("Expand", {rows, "relative_shape"}, "query_rows");
    const std::string own =
        graph_.node("GatherElements", {wide, "query_rows"}, at + "query_position_scores", {{"axis", int64_t{3}}});
    products = graph_.node("Add", {products, own}, at + "products_and_queries");
  }
  if (!w.position_query) return products;
  const std::string key_rows = graph_.node("Transpose", {key}, at + "key_rows", {{"perm", turn}});
  const std::string wide =
      graph_.node("MatMul", {key_rows, positions_of(*w.position_query, at + "position_queries")}, at + "key_positions");
  if (is_new("key_row_numbers")) {
    const std::string transposed =
        graph_.node("Transpose", {rows}, "relative_rows_transposed", {{"perm", std::vector<int64_t>{1, 0}}});
    graph_.node("Expand", {transposed, "relative_shape"}, "key_row_numbers");
  }
  const std::string own =
      graph_.node("GatherElements", {wide, "key_row_numbers"}, at + "key_position_scores", {{"axis", int64_t{3}}});
  const std::string transposed =
      graph_.node("Transpose", {own}, at + "key_position_scores_transposed", {{"perm", turn}});
  return graph_.node("Add", {products, transposed}, at + "products_and_keys");
}

}  // namespace rerank::convert
