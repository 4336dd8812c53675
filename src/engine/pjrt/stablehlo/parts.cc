#include "engine/pjrt/stablehlo/parts.h"

#include <numbers>
#include <numeric>

namespace rerank::engine::pjrt {

Value ForwardParts::along_rows(const Value& part, const Dims& dims) {
  std::vector<size_t> places(dims.size() - 1);
  std::iota(places.begin(), places.end(), size_t{0});
  return graph_.broadcast(part, dims, places);
}

Value ForwardParts::linear(const Value& x, const std::string& name, size_t out, bool bias, bool is_exact) {
  const size_t last = x.type.dims.size() - 1;
  const auto width = static_cast<int64_t>(out);
  const Dims dims = {width, x.type.dims[last]};
  const Value weight = is_exact ? exact(name + "_weight", dims) : matrix(name + "_weight", dims);
  const Value input = graph_.convert(x, weight.type.element);
  Value product = graph_.dot(input, weight, {.batch_a = {}, .batch_b = {}, .a = last, .b = 1});
  if (!bias) return product;
  return graph_.add(product, along_last(exact(name + "_bias", {width}), product.type.dims));
}

Value ForwardParts::norm(const Value& x, const std::string& name, float epsilon, bool beta) {
  const Dims& dims = x.type.dims;
  const size_t last = dims.size() - 1;
  const float share = 1 / static_cast<float>(dims[last]);
  Value centred = x;
  if (a_.norm == model::NormKind::kLayer) {
    const Value mean = graph_.scaled(graph_.sum(x, last), share);
    centred = graph_.subtract(x, along_rows(mean, dims));
  }
  const Value variance = graph_.scaled(graph_.sum(graph_.multiply(centred, centred), last), share);
  const Value scale = graph_.rsqrt(graph_.plus(variance, epsilon));
  const Value normal = graph_.multiply(centred, along_rows(scale, dims));
  const Value scaled = graph_.multiply(normal, along_last(exact(name + "_gamma", {dims[last]}), dims));
  return beta ? graph_.add(scaled, along_last(exact(name + "_beta", {dims[last]}), dims)) : scaled;
}

Value ForwardParts::softmax(const Value& x) {
  const Dims& dims = x.type.dims;
  const size_t last = dims.size() - 1;
  const Value shifted = graph_.subtract(x, along_rows(graph_.largest(x, last), dims));
  const Value powers = graph_.exponential(shifted);
  return graph_.divide(powers, along_rows(graph_.sum(powers, last), dims));
}

Value ForwardParts::capped(const Value& x, float cap) {
  return cap == 0 ? x : graph_.scaled(graph_.tanh(graph_.scaled(x, 1 / cap)), cap);
}

// Abramowitz and Stegun 7.1.26: erf is no operation of StableHLO. Right to 1.5e-7.
Value ForwardParts::erf(const Value& x) {
  constexpr float kTerms[] = {1.061405429f, -1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
  const Value size = graph_.absolute(x);
  const Value one = graph_.constant(1, x.type.dims);
  const Value t = graph_.divide(one, graph_.add(one, graph_.scaled(size, 0.3275911f)));
  Value sum = graph_.scaled(t, kTerms[0]);
  for (size_t i = 1; i < std::size(kTerms); ++i) sum = graph_.multiply(graph_.plus(sum, kTerms[i]), t);
  const Value tail = graph_.multiply(sum, graph_.exponential(graph_.negated(graph_.multiply(size, size))));
  return graph_.multiply(graph_.sign(x), graph_.subtract(one, tail));
}

Value ForwardParts::activate(const Value& x, model::Activation activation) {
  switch (activation) {
    case model::Activation::kRelu:
      return graph_.maximum(x, graph_.constant(0, x.type.dims));
    case model::Activation::kTanh:
      return graph_.tanh(x);
    case model::Activation::kSilu:
      return graph_.divide(x, graph_.plus(graph_.exponential(graph_.negated(x)), 1));
    case model::Activation::kGelu: {
      const Value part = erf(graph_.scaled(x, 1 / std::numbers::sqrt2_v<float>));
      return graph_.multiply(graph_.scaled(x, 0.5f), graph_.plus(part, 1));
    }
    case model::Activation::kGeluTanh: {
      const Value cube = graph_.multiply(graph_.multiply(x, x), x);
      const Value inner = graph_.scaled(graph_.add(x, graph_.scaled(cube, 0.044715f)), 0.7978845608028654f);
      return graph_.multiply(graph_.scaled(x, 0.5f), graph_.plus(graph_.tanh(inner), 1));
    }
  }
  return x;
}

}  // namespace rerank::engine::pjrt
