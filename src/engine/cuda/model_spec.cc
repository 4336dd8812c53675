#include "engine/cuda/model_spec.h"

#include <algorithm>

#include "engine/attention_pattern.h"

namespace rerank {
namespace {

cuda::Tensor tensor_of(const TensorView& view) {
  const cuda::Type type = view.dtype == DType::kF16    ? cuda::Type::kF16
                          : view.dtype == DType::kBF16 ? cuda::Type::kBf16
                                                       : cuda::Type::kF32;
  return {view.bytes.data(), type, view.elements()};
}
cuda::LinearSpec linear_of(const Linear& linear) {
  return {tensor_of(linear.weight), tensor_of(linear.bias), static_cast<uint32_t>(linear.out()),
          static_cast<uint32_t>(linear.in())};
}
cuda::NormSpec norm_of(const Norm& norm) { return {tensor_of(norm.gamma), tensor_of(norm.beta)}; }

static_assert(static_cast<int>(cuda::Act::kTanh) == static_cast<int>(Activation::kTanh) &&
              static_cast<int>(cuda::Act::kGelu) == static_cast<int>(Activation::kGelu));

}  // namespace

CudaModelSpec::CudaModelSpec(const Model& model) {
  const ModelConfig& c = model.config;
  const Weights& w = model.weights;
  for (const LayerWeights& l : w.layers) {
    layers_.push_back({linear_of(l.query), linear_of(l.key), linear_of(l.value), linear_of(l.attention_output),
                       linear_of(l.up), linear_of(l.down), norm_of(l.attention_norm), norm_of(l.output_norm),
                       pattern_of(c, layers_.size())});
  }
  const auto narrow = [](size_t n) { return static_cast<uint32_t>(n); };
  spec_.layers = narrow(c.layers);
  spec_.hidden = narrow(c.hidden);
  spec_.heads = narrow(c.heads);
  spec_.intermediate = narrow(c.intermediate);
  spec_.embedding = narrow(c.embedding);
  spec_.labels = narrow(c.labels);
  spec_.position_offset = narrow(c.position_offset);
  spec_.epsilon = c.layer_norm_epsilon;
  spec_.activation = static_cast<cuda::Act>(c.activation);
  spec_.head_activation = static_cast<cuda::Act>(c.head_activation);
  spec_.words = tensor_of(w.words);
  spec_.positions = tensor_of(w.positions);
  if (w.segments) spec_.segments = tensor_of(*w.segments);
  spec_.embedding_norm = norm_of(w.embedding_norm);
  if (w.embedding_projection) spec_.projection = linear_of(*w.embedding_projection);
  spec_.head_dense = linear_of(w.head_dense);
  spec_.head_output = linear_of(w.head_output);
  spec_.layer = layers_.data();
}

cuda::PatternSpec CudaModelSpec::pattern_of(const ModelConfig& c, size_t layer) {
  const AttentionPattern pattern = c.pattern(layer);
  cuda::PatternSpec spec;
  spec.window = static_cast<uint32_t>(std::min<size_t>(pattern.window, c.max_length()));
  if (pattern.alibi) {
    if (slopes_.empty())
      for (size_t head = 0; head < c.heads; ++head) slopes_.push_back(alibi_slope(c.heads, head));
    spec.slopes = {slopes_.data(), cuda::Type::kF32, slopes_.size()};
  }
  if (pattern.rope_theta != 0) {
    std::vector<float>& turns = turns_[pattern.rope_theta];
    if (turns.empty()) turns = rope_turns(pattern.rope_theta, c.head_size(), c.max_length());
    spec.turns = {turns.data(), cuda::Type::kF32, turns.size()};
  }
  return spec;
}

}  // namespace rerank
