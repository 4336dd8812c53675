#include "convert/onnx_parts.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/half.h"
#include "base/strings.h"

namespace rerank::convert {

using onnx::TensorProto;

OnnxParts::OnnxParts(const model::Model& model, const ConvertOptions& options, GraphBuilder& graph)
    : a_(model.architecture()), weights_(model.weights), options_(options), graph_(graph) {
  type_ = options.precision == Precision::kFp16 ? TensorProto::FLOAT16 : TensorProto::FLOAT;
  total_ = model.weights.parameters() * 4;
}

std::string OnnxParts::activate(const std::string& x, model::Activation activation, const std::string& name) {
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
      const std::string more = graph_.node("Add", {erf, one()}, name + "_more");
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
      const std::string more = graph_.node("Add", {tanh, one()}, name + "_more");
      const std::string half = graph_.node("Mul", {x, shared("half", 0.5f)}, name + "_half");
      return graph_.node("Mul", {half, more}, name);
    }
  }
  return x;
}

std::string OnnxParts::rms_norm(const std::string& x, const model::Norm& w, const std::string& name) {
  std::string& gamma = placed(w.gamma, "gamma");
  if (gamma.empty()) gamma = weights(name + ".gamma", {static_cast<int64_t>(w.gamma.elements())}, w.gamma.floats());
  const std::string squares = graph_.node("Pow", {x, shared("two", 2)}, name + "_squares");
  const std::string mean = graph_.node("ReduceMean", {squares}, name + "_mean", {{"axes", std::vector<int64_t>{-1}}});
  const std::string more = graph_.node("Add", {mean, shared("epsilon", a_.norm_epsilon)}, name + "_mean_more");
  const std::string root = graph_.node("Sqrt", {more}, name + "_root");
  return graph_.node("Mul", {graph_.node("Div", {x, root}, name + "_normal"), gamma}, name);
}

std::string OnnxParts::norm(const std::string& x, const model::Norm& w, const std::string& name, float epsilon) {
  if (a_.norm == model::NormKind::kRms) return rms_norm(x, w, name);
  const auto width = static_cast<int64_t>(w.gamma.elements());
  std::string &gamma = placed(w.gamma, "gamma"), &beta = placed(w.gamma, "beta");
  if (gamma.empty()) {
    gamma = weights(name + ".gamma", {width}, w.gamma.floats());
    beta = weights(name + ".beta", {width}, w.beta_floats());
  }
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
std::string OnnxParts::linear(const std::string& x, const model::Linear& w, const std::string& name) {
  std::string bias;
  if (w.bias) {
    std::string& there = placed(*w.bias, "vector");
    if (there.empty()) there = weights(name + ".bias", {static_cast<int64_t>(w.out())}, w.bias->floats());
    bias = there;
  }
  const std::string product = is_quantized(w)
                                  ? integer_product(x, w, name)
                                  : graph_.node("MatMul", {x, matrix(w, name + ".weight")}, name + "_product");
  return bias.empty() ? product : graph_.node("Add", {product, bias}, name);
}

// The same for one row per sequence, never quantized.
std::string OnnxParts::dense_of(const std::string& x, const model::Linear& w, const std::string& name) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(w.out()), static_cast<int64_t>(w.in())};
  const std::string matrix = weights(name + ".weight", shape, w.weight.floats());
  const std::string bias = weights(name + ".bias", {shape[0]}, w.bias_floats());
  return graph_.node("Gemm", {x, matrix, bias}, name, {{"transB", int64_t{1}}});
}

std::string OnnxParts::dense_of_rows(const std::string& x, const model::Linear& w, const std::string& name) {
  const std::string product = graph_.node("MatMul", {x, matrix(w, name + ".weight")}, name + "_product");
  const std::string bias = weights(name + ".bias", {static_cast<int64_t>(w.out())}, w.bias_floats());
  return graph_.node("Add", {product, bias}, name);
}

std::string OnnxParts::capped(const std::string& x, float cap, const std::string& name) {
  const std::string limit = shared(str_cat("cap_", cap), cap);
  const std::string tanh = graph_.node("Tanh", {graph_.node("Div", {x, limit}, name + "_in_caps")}, name + "_tanh");
  return graph_.node("Mul", {tanh, limit}, name);
}

bool OnnxParts::is_quantized(const model::Linear& w) const {
  if (options_.precision != Precision::kInt8) return false;
  return !is_excluded(options_, w.weight.name);
}

// ONNX's own operator: one scale for the whole batch.
OnnxParts::Quantized OnnxParts::quantize_batch(const std::string& x) {
  Quantized q = {x + "_int8", x + "_scale", x + "_zero"};
  graph_.node_of("DynamicQuantizeLinear", {x}, {q.values, q.scale, q.zero});
  return q;
}

// Each token in units of 1/127 of its largest value, around 128: a score then depends on its own pair alone.
OnnxParts::Quantized OnnxParts::quantize_tokens(const std::string& x) {
  const std::string size = graph_.node("Abs", {x}, x + "_size");
  const std::vector<int64_t> last = {-1};
  const std::string most = graph_.node("ReduceMax", {size}, x + "_largest", {{"axes", last}});
  const std::string some = graph_.node("Max", {most, shared("tiny", 1e-30f)}, x + "_span");  // a row may be zero
  const std::string scale = graph_.node("Mul", {some, shared("one()127th", 1.0f / 127)}, x + "_scale");
  const std::string units = graph_.node("Div", {x, scale}, x + "_units");
  if (is_new("middle")) graph_.weights("middle", TensorProto::UINT8, {}, std::string(1, '\x80'));
  return {graph_.node("QuantizeLinear", {units, one(), "middle"}, x + "_int8"), scale, "middle"};
}

// Activations as uint8, weights as int8 with a scale for each column.
std::string OnnxParts::integer_product(const std::string& x, const model::Linear& w, const std::string& name) {
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
  const std::string zeros = graph_.weights(name + ".weight_zero", TensorProto::INT8, {out}, std::string(w.out(), '\0'));
  const std::string column_scales = weights(name + ".weight_scale", {out}, scales);
  report(values.size() - scales.size());
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

std::string OnnxParts::matrix(const model::Linear& w, const std::string& name) {
  std::string& there = placed(w.weight, "matrix");
  if (!there.empty()) return there;
  const std::vector<float> values = w.weight.floats();
  std::vector<float> transposed(values.size());
  constexpr size_t kBlock = 64;  // of rows, so that the reads stay in the cache
  for (size_t begin = 0; begin < w.out(); begin += kBlock) {
    for (size_t i = 0; i < w.in(); ++i) {
      for (size_t o = begin; o < std::min(w.out(), begin + kBlock); ++o)
        transposed[i * w.out() + o] = values[o * w.in() + i];
    }
  }
  return there = weights(name, {static_cast<int64_t>(w.in()), static_cast<int64_t>(w.out())}, transposed);
}

std::string OnnxParts::table_of(const std::string& name, const model::TensorView& view) {
  return weights(name, {static_cast<int64_t>(view.shape[0]), static_cast<int64_t>(view.shape[1])}, view.floats());
}

std::string OnnxParts::weights(const std::string& name, const std::vector<int64_t>& shape,
                               const std::vector<float>& values) {
  report(values.size());
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

void OnnxParts::report(size_t values) {
  done_ += 4 * values;
  if (options_.progress) options_.progress(std::min(done_, total_), total_);
}

// The number of tokens, [1].
std::string OnnxParts::length() {
  if (!is_new("length")) return "length";
  const std::string shape = graph_.node("Shape", {"input_ids"}, "input_shape");
  return graph_.node("Gather", {shape, graph_.integers("length_axis", {1})}, "length");
}

// The first rows of a table by position.
std::string OnnxParts::used_rows(const std::string& table, const std::string& name) {
  if (is_new("zero")) graph_.integers("zero", {0});
  return graph_.node("Slice", {table, "zero", length(), "zero"}, name);
}

std::string OnnxParts::signed_distances() {
  if (!is_new("distances_signed")) return "distances_signed";
  const std::string step = graph_.integer("position_step", 1), zero = graph_.integer("position_first", 0);
  const std::string count = graph_.node("Squeeze", {length()}, "length_number", {{"axes", std::vector<int64_t>{0}}});
  const std::string range = graph_.node("Range", {zero, count, step}, "position_numbers");
  const std::string numbers = graph_.node("Cast", {range}, "position_floats", {{"to", int64_t{TensorProto::FLOAT}}});
  const std::string rows = graph_.node("Unsqueeze", {numbers}, "position_rows", {{"axes", std::vector<int64_t>{1}}});
  return graph_.node("Sub", {rows, numbers}, "distances_signed");
}

std::string& OnnxParts::placed(const model::TensorView& view, const char* form) {
  return placed_[{view.bytes.data(), form}];
}

}  // namespace rerank::convert
