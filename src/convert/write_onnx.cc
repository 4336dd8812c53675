// The encoder as standard operators of opset 12, arranged as ONNX Runtime's optimizer looks for them: its attention
// fusion wants the mask as (1 - mask) * -10000, reshapes by constants, keys transposed in one step, LayerNorm spelt out
// (it does not know opset 17's own operator) and a MatMul before that of opset 13; its GELU fusions the textbook form;
// the fusion of sums with LayerNorm shapes that it can see to be equal (onnxruntime/core/optimizer).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <numbers>
#include <optional>
#include <set>
#include <utility>

#include "base/half.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "convert/graph_builder.h"
#include "convert/writers.h"
#include "engine/attention_pattern.h"
#include "engine/supported.h"

namespace rerank::convert {
namespace {

using onnx::TensorProto;

constexpr int64_t kOpset = 12;
constexpr float kMasked = -10000;  // added to the scores of padding; far enough for fp16, too

class EncoderGraph {
 public:
  EncoderGraph(const model::Model& model, const ConvertOptions& options, GraphBuilder& graph)
      : a_(model.architecture()), weights_(model.weights), options_(options), graph_(graph) {
    layers_ = options.keep_layers != 0 ? options.keep_layers : a_.layers();
    type_ = options.precision == Precision::kFp16 ? TensorProto::FLOAT16 : TensorProto::FLOAT;
    total_ = model.weights.parameters() * 4;
  }

  void build() {
    segments_ = weights_.segments.has_value() && a_.embedding.segment_rows > 1;
    std::vector<std::string> inputs = {"input_ids", "attention_mask"};
    if (segments_) inputs.emplace_back("token_type_ids");
    for (const std::string& name : inputs) graph_.add_input(name, TensorProto::INT64, {"batch", "sequence"});
    scalars();
    make_masks();
    std::string stream = embed();
    for (size_t i = 0; i < layers_; ++i) stream = block(i, stream);
    if (a_.final_norm) stream = norm(stream, *weights_.final_norm, "final_norm", a_.norm_epsilon);
    if (a_.scoring.rows == model::ScoredRows::kMean) stream = mean(stream);
    head(stream);
  }

 private:
  using Attributes = GraphBuilder::Attributes;

  static std::string float_bytes(float value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

  // What the whole graph uses.
  void scalars() {
    first_ = graph_.integer("first", 0);
    context_shape_ = graph_.integers("context_shape", {0, 0, static_cast<int64_t>(a_.hidden)});
    head_shape_ = graph_.integers("head_shape", {0, 0, static_cast<int64_t>(a_.blocks[0].attention.heads),
                                                 static_cast<int64_t>(a_.blocks[0].attention.head_size)});
    root_ = scalar("head_size_root", std::sqrt(static_cast<float>(a_.blocks[0].attention.head_size)));
    one_ = scalar("one", 1);
  }

  // Of padding; and next to it of each width of window.
  void make_masks() {
    const std::string rows =
        graph_.node("Unsqueeze", {"attention_mask"}, "mask_rows", {{"axes", std::vector<int64_t>{1}}});
    const std::string all = graph_.node("Unsqueeze", {rows}, "mask_heads", {{"axes", std::vector<int64_t>{2}}});
    const std::string cast = graph_.node("Cast", {all}, "mask_cast", {{"to", int64_t{type_}}});
    const std::string padding = graph_.node("Sub", {one_, cast}, "mask_padding");
    masks_[0] = graph_.node("Mul", {padding, scalar("masked", kMasked)}, "mask");
    for (const model::Block& block : a_.blocks) {
      const size_t window = window_of(block.attention);
      if (window == 0 || masks_.contains(window)) continue;
      const std::string name = str_cat("window_", window);
      const std::string limit =
          graph_.weights(name + "_limit", TensorProto::FLOAT, {}, float_bytes(static_cast<float>(window)));
      const std::string far = graph_.node("Greater", {distances(), limit}, name + "_far");
      const std::string number = graph_.node("Cast", {far}, name + "_number", {{"to", int64_t{type_}}});
      const std::string unseen = graph_.node("Mul", {number, "masked"}, name + "_masked");
      masks_[window] = graph_.node("Add", {masks_[0], unseen}, name + "_mask");
    }
  }

  static size_t window_of(const model::Attention& attention) {
    return attention.mask == model::MaskKind::kWindow ? attention.window : 0;
  }

  // |i - j| of every two positions, fp32 [length, length].
  std::string distances() {
    if (!shared_.insert("distances").second) return "distances";
    const std::string step = graph_.integer("position_step", 1);
    const std::string count = graph_.node("Squeeze", {length()}, "length_number", {{"axes", std::vector<int64_t>{0}}});
    const std::string range = graph_.node("Range", {first_, count, step}, "position_numbers");
    const std::string numbers = graph_.node("Cast", {range}, "position_floats", {{"to", int64_t{TensorProto::FLOAT}}});
    const std::string rows = graph_.node("Unsqueeze", {numbers}, "position_rows", {{"axes", std::vector<int64_t>{1}}});
    const std::string signs = graph_.node("Sub", {rows, numbers}, "distances_signed");
    return graph_.node("Abs", {signs}, "distances");
  }

  // The number of tokens, [1].
  std::string length() {
    if (!shared_.insert("length").second) return "length";
    const std::string shape = graph_.node("Shape", {"input_ids"}, "input_shape");
    return graph_.node("Gather", {shape, graph_.integers("length_axis", {1})}, "length");
  }

  // The first rows of a table by position.
  std::string used_rows(const std::string& table, const std::string& name) {
    if (shared_.insert("zero").second) graph_.integers("zero", {0});
    return graph_.node("Slice", {table, "zero", length(), "zero"}, name);
  }

  std::string embed() {
    std::string used;
    if (weights_.positions) used = used_rows(position_table(), "positions_used");
    std::string sum = graph_.node("Gather", {table_of("words", weights_.words), "input_ids"}, "words_used");
    if (segments_) {
      const std::string segment =
          graph_.node("Gather", {table_of("segments", *weights_.segments), "token_type_ids"}, "segments_used");
      sum = graph_.node("Add", {sum, segment}, "words_and_segments");
    } else if (weights_.segments && !weights_.positions) {
      sum = graph_.node("Add", {sum, first_segment()}, "words_and_segment");
    }
    if (!used.empty()) sum = graph_.node("Add", {sum, used}, "embeddings");
    graph_.declare(sum, type_, {"batch", "sequence", str_cat(a_.embedding.width)});
    std::string stream = norm(sum, *weights_.embedding_norm, "embedding_norm", a_.norm_epsilon);
    if (weights_.embedding_projection) stream = linear(stream, *weights_.embedding_projection, "embedding_projection");
    return stream;
  }

  // Rows of the table before the first position are never read. A model with one segment has that row in every
  // position.
  std::string position_table() {
    const size_t width = a_.embedding.width;
    std::vector<float> positions = weights_.positions->floats();
    positions.erase(positions.begin(),
                    positions.begin() + static_cast<ptrdiff_t>(a_.embedding.position_offset * width));
    if (weights_.segments && !segments_) {
      std::vector<float> row(width);
      weights_.segments->read_floats(0, row);
      for (size_t i = 0; i < positions.size(); ++i) positions[i] += row[i % width];
    }
    return weights("positions", {static_cast<int64_t>(a_.max_length), static_cast<int64_t>(width)}, positions);
  }

  std::string first_segment() {
    std::vector<float> row(a_.embedding.width);
    weights_.segments->read_floats(0, row);
    return weights("segment", {static_cast<int64_t>(row.size())}, row);
  }

  std::string block(size_t number, const std::string& stream) {
    const model::LayerWeights& w = weights_.layers[number];
    const bool pre = a_.blocks[number].placement == model::NormPlacement::kPre;
    const std::string at = str_cat("layer.", number, ".");
    const auto normed = [&](const std::string& x, const std::optional<model::Norm>& norm_weights,
                            const std::string& name) {
      return norm_weights ? norm(x, *norm_weights, at + name, a_.norm_epsilon) : x;
    };
    const std::string input = pre ? normed(stream, w.attention_norm, "attention_norm") : stream;
    const std::string context = attention(number, input, at);
    const std::string out = linear(context, w.attention_output, at + "attention_output");
    std::string middle = graph_.node("Add", {out, stream}, at + "attention_sum");
    // After the last attention only the rows that the head reads are needed.
    if (number + 1 == layers_ && a_.scoring.rows == model::ScoredRows::kFirst)
      middle = graph_.node("Gather", {middle, first_}, at + "first", {{"axis", int64_t{1}}});
    if (!pre) middle = normed(middle, w.attention_norm, "attention_norm");
    const std::string down = feed_forward(number, pre ? normed(middle, w.output_norm, "output_norm") : middle, at);
    const std::string sum = graph_.node("Add", {down, middle}, at + "output_sum");
    return pre ? sum : normed(sum, w.output_norm, "output_norm");
  }

  std::string feed_forward(size_t number, const std::string& input, const std::string& at) {
    const model::LayerWeights& w = weights_.layers[number];
    const model::FeedForward& ff = a_.blocks[number].feed_forward;
    std::string inner = linear(input, w.up, at + "up");
    if (w.gate) {
      const std::string gate = activate(linear(input, *w.gate, at + "gate"), ff.activation, at + "activation");
      inner = graph_.node("Mul", {gate, inner}, at + "gated");
    } else {
      inner = activate(inner, ff.activation, at + "activation");
    }
    return linear(inner, w.down, at + "down");
  }

  std::string attention(size_t number, const std::string& input, const std::string& at) {
    const model::LayerWeights& w = weights_.layers[number];
    const model::Attention& attention = a_.blocks[number].attention;
    const bool rope = attention.position == model::PositionKind::kRope;
    const auto heads_of = [&](const model::Linear& linear_weights, const std::string& name,
                              std::vector<int64_t> order) {
      const std::string rows = linear(input, linear_weights, at + name);
      const std::string split = graph_.node("Reshape", {rows, head_shape_}, at + name + "_split");
      return graph_.node("Transpose", {split}, at + name + "_heads", {{"perm", std::move(order)}});
    };
    std::string query = heads_of(w.query, "query", {0, 2, 1, 3});
    std::string key =
        heads_of(w.key, "key", rope ? std::vector<int64_t>{0, 2, 1, 3} : std::vector<int64_t>{0, 2, 3, 1});
    const std::string value = heads_of(w.value, "value", {0, 2, 1, 3});
    if (rope) {
      query = rotated(query, attention, at + "query");
      key = graph_.node("Transpose", {rotated(key, attention, at + "key")}, at + "key_transposed",
                        {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
    }
    const std::string products = graph_.node("MatMul", {query, key}, at + "products");
    std::string scores = graph_.node("Div", {products, root_}, at + "scores");
    if (attention.position == model::PositionKind::kAlibi)
      scores = graph_.node("Sub", {scores, alibi(attention)}, at + "scores_by_distance");
    const std::string masked = graph_.node("Add", {scores, masks_.at(window_of(attention))}, at + "masked_scores");
    const std::string shares = graph_.node("Softmax", {masked}, at + "shares", {{"axis", int64_t{3}}});
    const std::string mixed = graph_.node("MatMul", {shares, value}, at + "mixed");
    const std::string order =
        graph_.node("Transpose", {mixed}, at + "mixed_rows", {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
    return graph_.node("Reshape", {order, context_shape_}, at + "context");
  }

  // RoPE of [batch, heads, length, head size].
  std::string rotated(const std::string& x, const model::Attention& attention, const std::string& name) {
    const auto half = static_cast<int64_t>(attention.head_size / 2);
    const auto [cosines, sines] = angles(attention);
    for (const auto& [key, number] :
         {std::pair("half_begin", int64_t{0}), {"half_middle", half}, {"half_end", 2 * half}, {"half_axis", 3}})
      if (shared_.insert(key).second) graph_.integers(key, {number});
    const std::string low = graph_.node("Slice", {x, "half_begin", "half_middle", "half_axis"}, name + "_low");
    const std::string high = graph_.node("Slice", {x, "half_middle", "half_end", "half_axis"}, name + "_high");
    const auto product = [&](const std::string& values, const std::string& factors, const char* part) {
      return graph_.node("Mul", {values, factors}, name + part);
    };
    const std::string first = graph_.node("Sub", {product(low, cosines, "_low_cos"), product(high, sines, "_high_sin")},
                                          name + "_rotated_low");
    const std::string second = graph_.node(
        "Add", {product(high, cosines, "_high_cos"), product(low, sines, "_low_sin")}, name + "_rotated_high");
    return graph_.node("Concat", {first, second}, name + "_rotated", {{"axis", int64_t{3}}});
  }

  // Of the batch's positions, [length, head size / 2] each.
  std::pair<std::string, std::string> angles(const model::Attention& attention) {
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
  std::string alibi(const model::Attention& attention) {
    if (!shared_.insert("alibi").second) return "alibi";
    std::vector<float> slopes;
    for (size_t head = 0; head < attention.heads; ++head) slopes.push_back(engine::alibi_slope(attention.heads, head));
    const std::string table = weights("slopes", {static_cast<int64_t>(attention.heads), 1, 1}, slopes);
    const std::string far = graph_.node("Cast", {distances()}, "alibi_distances", {{"to", int64_t{type_}}});
    return graph_.node("Mul", {far, table}, "alibi");
  }

  // The mean of each sequence's rows, padding apart.
  std::string mean(const std::string& stream) {
    const std::string column =
        graph_.node("Unsqueeze", {"attention_mask"}, "mean_mask", {{"axes", std::vector<int64_t>{2}}});
    const std::string weight = graph_.node("Cast", {column}, "mean_weights", {{"to", int64_t{type_}}});
    const std::vector<int64_t> rows = {1};
    const Attributes flat = {{"axes", rows}, {"keepdims", int64_t{0}}};
    const std::string sum =
        graph_.node("ReduceSum", {graph_.node("Mul", {stream, weight}, "mean_rows")}, "mean_sum", flat);
    return graph_.node("Div", {sum, graph_.node("ReduceSum", {weight}, "mean_count", flat)}, "mean");
  }

  void head(const std::string& hidden) {
    std::string dense =
        activate(dense_of(hidden, *weights_.head_dense, "head_dense"), a_.scoring.activation, "head_activation");
    if (weights_.head_norm) dense = norm(dense, *weights_.head_norm, "head_norm", a_.scoring.norm_epsilon);
    const std::string labels = str_cat(a_.scoring.labels);
    const bool half = type_ == TensorProto::FLOAT16;
    const std::string out = dense_of(dense, weights_.head_output, half ? "half_logits" : "logits");
    if (half) graph_.node("Cast", {out}, "logits", {{"to", int64_t{TensorProto::FLOAT}}});
    graph_.add_output("logits", TensorProto::FLOAT, {"batch", labels});
  }

  std::string activate(const std::string& x, model::Activation activation, const std::string& name) {
    switch (activation) {
      case model::Activation::kRelu:
        return graph_.node("Relu", {x}, name);
      case model::Activation::kTanh:
        return graph_.node("Tanh", {x}, name);
      case model::Activation::kSilu:
        return graph_.node("Mul", {x, graph_.node("Sigmoid", {x}, name + "_sigmoid")}, name);
      case model::Activation::kGelu: {
        const std::string scaled =
            graph_.node("Div", {x, shared("root_2", std::numbers::sqrt2_v<float>)}, name + "_scaled");
        const std::string erf = graph_.node("Erf", {scaled}, name + "_erf");
        const std::string more = graph_.node("Add", {erf, one_}, name + "_more");
        const std::string twice = graph_.node("Mul", {x, more}, name + "_twice");
        return graph_.node("Mul", {twice, shared("half", 0.5f)}, name);
      }
      case model::Activation::kGeluTanh: {
        const std::string cube = graph_.node("Pow", {x, shared("three", 3)}, name + "_cube");
        const std::string part = graph_.node("Mul", {cube, shared("cubic", 0.044715f)}, name + "_part");
        const std::string sum = graph_.node("Add", {x, part}, name + "_sum");
        const std::string scaled =
            graph_.node("Mul", {sum, shared("root_2_over_pi", 0.7978845608028654f)}, name + "_scaled");
        const std::string tanh = graph_.node("Tanh", {scaled}, name + "_tanh");
        const std::string more = graph_.node("Add", {tanh, one_}, name + "_more");
        const std::string half = graph_.node("Mul", {x, shared("half", 0.5f)}, name + "_half");
        return graph_.node("Mul", {half, more}, name);
      }
    }
    return x;
  }

  std::string norm(const std::string& x, const model::Norm& w, const std::string& name, float epsilon) {
    const auto width = static_cast<int64_t>(w.gamma.elements());
    const std::string gamma = weights(name + ".gamma", {width}, w.gamma.floats());
    const std::string beta = weights(name + ".beta", {width}, w.beta_floats());
    const std::vector<int64_t> last = {-1};
    const std::string mean = graph_.node("ReduceMean", {x}, name + "_mean", {{"axes", last}});
    const std::string centred = graph_.node("Sub", {x, mean}, name + "_centred");
    const std::string squares = graph_.node("Pow", {centred, shared("two", 2)}, name + "_squares");
    const std::string variance = graph_.node("ReduceMean", {squares}, name + "_variance", {{"axes", last}});
    const std::string more =
        graph_.node("Add", {variance, shared(epsilon == a_.norm_epsilon ? "epsilon" : "head_epsilon", epsilon)},
                    name + "_variance_more");
    const std::string deviation = graph_.node("Sqrt", {more}, name + "_deviation");
    const std::string normal = graph_.node("Div", {centred, deviation}, name + "_normal");
    return graph_.node("Add", {graph_.node("Mul", {normal, gamma}, name + "_scaled"), beta}, name);
  }

  // x W^T + b, in int8 where that is wanted.
  std::string linear(const std::string& x, const model::Linear& w, const std::string& name) {
    std::string bias;
    if (w.bias) bias = weights(name + ".bias", {static_cast<int64_t>(w.out())}, w.bias->floats());
    const std::string product = is_quantized(w)
                                    ? integer_product(x, w, name)
                                    : graph_.node("MatMul", {x, matrix(w, name + ".weight")}, name + "_product");
    return bias.empty() ? product : graph_.node("Add", {product, bias}, name);
  }

  // The same for one row per sequence, never quantized.
  std::string dense_of(const std::string& x, const model::Linear& w, const std::string& name) {
    const std::vector<int64_t> shape = {static_cast<int64_t>(w.out()), static_cast<int64_t>(w.in())};
    const std::string matrix = weights(name + ".weight", shape, w.weight.floats());
    const std::string bias = weights(name + ".bias", {shape[0]}, w.bias_floats());
    return graph_.node("Gemm", {x, matrix, bias}, name, {{"transB", int64_t{1}}});
  }

  bool is_quantized(const model::Linear& w) const {
    if (options_.precision != Precision::kInt8) return false;
    return !is_excluded(options_, w.weight.name);
  }

  struct Quantized {
    std::string values, scale, zero;
  };

  // ONNX's own operator: one scale for the whole batch.
  Quantized quantize_batch(const std::string& x) {
    Quantized q = {x + "_int8", x + "_scale", x + "_zero"};
    graph_.node_of("DynamicQuantizeLinear", {x}, {q.values, q.scale, q.zero});
    return q;
  }

  // Each token in units of 1/127 of its largest value, around 128: a score then depends on its own pair alone.
  Quantized quantize_tokens(const std::string& x) {
    const std::string size = graph_.node("Abs", {x}, x + "_size");
    const std::vector<int64_t> last = {-1};
    const std::string most = graph_.node("ReduceMax", {size}, x + "_largest", {{"axes", last}});
    const std::string some = graph_.node("Max", {most, shared("tiny", 1e-30f)}, x + "_span");  // a row may be zero
    const std::string scale = graph_.node("Mul", {some, shared("one_127th", 1.0f / 127)}, x + "_scale");
    const std::string units = graph_.node("Div", {x, scale}, x + "_units");
    if (shared_.insert("middle").second) graph_.weights("middle", TensorProto::UINT8, {}, std::string(1, '\x80'));
    return {graph_.node("QuantizeLinear", {units, one_, "middle"}, x + "_int8"), scale, "middle"};
  }

  // Activations as uint8, weights as int8 with a scale for each column.
  std::string integer_product(const std::string& x, const model::Linear& w, const std::string& name) {
    const bool per_token = options_.scale_per_token;
    Quantized& quantized = quantized_[x];
    if (quantized.values.empty()) quantized = per_token ? quantize_tokens(x) : quantize_batch(x);
    const auto in = static_cast<int64_t>(w.in()), out = static_cast<int64_t>(w.out());
    const std::vector<float> values = w.weight.floats();
    std::vector<float> scales(w.out());
    std::string bytes(values.size(), '\0');
    const float top = options_.reduce_range ? 63 : 127;
    for (size_t o = 0; o < w.out(); ++o) {
      float largest = 0;
      for (size_t i = 0; i < w.in(); ++i) largest = std::max(largest, std::abs(values[o * w.in() + i]));
      scales[o] = largest > 0 ? largest / top : 1;
      for (size_t i = 0; i < w.in(); ++i) {
        const float q = std::nearbyint(values[o * w.in() + i] / scales[o]);
        bytes[i * w.out() + o] = static_cast<char>(static_cast<int8_t>(std::clamp(q, -top, top)));
      }
    }
    const std::string matrix = graph_.weights(name + ".weight", TensorProto::INT8, {in, out}, std::move(bytes));
    const std::string zeros =
        graph_.weights(name + ".weight_zero", TensorProto::INT8, {out}, std::string(w.out(), '\0'));
    const std::string column_scales = weights(name + ".weight_scale", {out}, scales);
    tell(values.size() - scales.size());
    const std::string sums =
        graph_.node("MatMulInteger", {quantized.values, matrix, quantized.zero, zeros}, name + "_sums");
    const std::string cast = graph_.node("Cast", {sums}, name + "_sums_fp32", {{"to", int64_t{TensorProto::FLOAT}}});
    if (per_token) {
      const std::string columns = graph_.node("Mul", {cast, column_scales}, name + "_columns");
      return graph_.node("Mul", {columns, quantized.scale}, name + "_product");
    }
    const std::string scales_of_both = graph_.node("Mul", {quantized.scale, column_scales}, name + "_scales");
    return graph_.node("Mul", {cast, scales_of_both}, name + "_product");
  }

  std::string matrix(const model::Linear& w, const std::string& name) {
    const std::vector<float> values = w.weight.floats();
    std::vector<float> turned(values.size());
    constexpr size_t kBlock = 64;  // of rows, so that the reads stay in the cache
    for (size_t begin = 0; begin < w.out(); begin += kBlock) {
      for (size_t i = 0; i < w.in(); ++i) {
        for (size_t o = begin; o < std::min(w.out(), begin + kBlock); ++o)
          turned[i * w.out() + o] = values[o * w.in() + i];
      }
    }
    return weights(name, {static_cast<int64_t>(w.in()), static_cast<int64_t>(w.out())}, turned);
  }

  std::string table_of(const std::string& name, const model::TensorView& view) {
    return weights(name, {static_cast<int64_t>(view.shape[0]), static_cast<int64_t>(view.shape[1])}, view.floats());
  }

  std::string weights(const std::string& name, const std::vector<int64_t>& shape, const std::vector<float>& values) {
    tell(values.size());
    if (type_ == TensorProto::FLOAT) {
      std::string bytes(values.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), values.data(), bytes.size());
      return graph_.weights(name, type_, shape, std::move(bytes));
    }
    std::string bytes(values.size() * 2, '\0');
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = to_half(values[i]);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
    return graph_.weights(name, type_, shape, std::move(bytes));
  }

  std::string scalar(const std::string& name, float value) { return weights(name, {}, {value}); }
  // One that several nodes use.
  std::string shared(const std::string& name, float value) {
    return shared_.insert(name).second ? scalar(name, value) : name;
  }

  void tell(size_t values) {
    done_ += 4 * values;
    if (options_.progress) options_.progress(std::min(done_, total_), total_);
  }

  const model::Architecture& a_;
  const model::Weights& weights_;
  const ConvertOptions& options_;
  GraphBuilder& graph_;
  size_t layers_ = 0;
  TensorProto::DataType type_ = TensorProto::FLOAT;
  bool segments_ = false;
  std::string first_, context_shape_, head_shape_, root_, one_;
  std::map<size_t, std::string> masks_;  // by the width of the window; 0: of padding alone
  std::map<model::Rope, std::pair<std::string, std::string>> angles_;
  std::map<std::string, Quantized> quantized_;  // by what was quantized
  std::set<std::string> shared_;
  uint64_t done_ = 0, total_ = 0;
};

Status check(const model::Model& model, const ConvertOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  if (options.precision != Precision::kFp32 && options.precision != Precision::kFp16 &&
      options.precision != Precision::kInt8) {
    return absl::InvalidArgumentError(
        str_cat("--precision ", word_of(options.precision), ": an ONNX graph can be fp32, fp16 or int8"));
  }
  if (options.keep_layers > model.architecture().layers())
    return absl::InvalidArgumentError(
        str_cat("--keep-layers ", options.keep_layers, ": this model has ", model.architecture().layers()));
  const engine::EngineFeatures features = {.pre_norm = true,
                                           .gated = true,
                                           .rope = true,
                                           .alibi = true,
                                           .window = true,
                                           .mean_rows = true,
                                           .head_norm = true};
  const std::string parts = engine::uncomputed_parts(model.architecture(), features);
  if (!parts.empty()) return absl::UnimplementedError(str_cat("--to onnx: does not write ", parts));
  return ok_status();
}

}  // namespace

Status write_onnx(const model::Model& model, const std::string& out, const ConvertOptions& options) {
  RETURN_IF_ERROR(check(model, options));
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(out, error);
  const std::string graph_path = out + "/" + kOnnxFile, data_path = out + "/" + kOnnxDataFile;
  const std::string new_graph = graph_path + ".part", new_data = data_path + ".part";
  const auto give_up = [&](const Status& status) {
    fs::remove(new_graph, error);
    fs::remove(new_data, error);
    return status;
  };
  GraphBuilder graph(model.config.architecture_name);
  graph.add_metadata("precision", std::string(word_of(options.precision)));
  // A quantized model is at least a quarter of its floats; its tables stay floats.
  const uint64_t bytes = model.weights.parameters() * (options.precision == Precision::kFp16 ? 2 : 4);
  const bool external = bytes > options.inline_bytes;
  if (external) {
    if (Status status = graph.use_external_file(new_data, kOnnxDataFile); !status.ok()) return give_up(status);
  }
  EncoderGraph(model, options, graph).build();
  if (Status status = graph.write(new_graph, kOpset); !status.ok()) return give_up(status);
  fs::remove(data_path, error);
  if (external) fs::rename(new_data, data_path, error);
  if (!error) fs::rename(new_graph, graph_path, error);
  if (error) return give_up(absl::UnavailableError(str_cat(graph_path, ": cannot be put in place: ", error.message())));
  return ok_status();
}

}  // namespace rerank::convert
