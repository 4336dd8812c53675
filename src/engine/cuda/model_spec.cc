#include "engine/cuda/model_spec.h"

#include <algorithm>
#include <utility>

#include "engine/attention_pattern.h"

namespace rerank::engine {
namespace {

uint32_t narrow(size_t n) { return static_cast<uint32_t>(n); }

cuda::Scored scored_of(model::ScoredRows rows) {
  switch (rows) {
    case model::ScoredRows::kFirst:
      return cuda::Scored::kFirst;
    case model::ScoredRows::kLast:
      return cuda::Scored::kLast;
    case model::ScoredRows::kMean:
      return cuda::Scored::kMean;
    case model::ScoredRows::kMarked:
      return cuda::Scored::kMarked;
    case model::ScoredRows::kMeanOfLogits:
      break;
  }
  return cuda::Scored::kMeanOfLogits;
}

static_assert(static_cast<int>(cuda::Act::kTanh) == static_cast<int>(model::Activation::kTanh) &&
              static_cast<int>(cuda::Act::kGelu) == static_cast<int>(model::Activation::kGelu));

}  // namespace

// Types that the library does not read, and values that are made of what is stored, become fp32.
cuda::Tensor CudaModelSpec::tensor_of(const model::TensorView& view) {
  if (!view.is_plain() || view.dtype >= model::DType::kI8) return keep(view.floats());
  const cuda::Type type = view.dtype == model::DType::kF16    ? cuda::Type::kF16
                          : view.dtype == model::DType::kBF16 ? cuda::Type::kBf16
                                                              : cuda::Type::kF32;
  return {view.bytes.data(), type, view.elements()};
}

cuda::Tensor CudaModelSpec::tensor_of(const std::optional<model::TensorView>& view) {
  return view ? tensor_of(*view) : cuda::Tensor();
}

cuda::LinearSpec CudaModelSpec::linear_of(const model::Linear& linear) {
  return {tensor_of(linear.weight), tensor_of(linear.bias), static_cast<uint32_t>(linear.out()),
          static_cast<uint32_t>(linear.in())};
}

cuda::LinearSpec CudaModelSpec::linear_of(const std::optional<model::Linear>& linear) {
  return linear ? linear_of(*linear) : cuda::LinearSpec();
}

cuda::NormSpec CudaModelSpec::norm_of(const model::Norm& norm) { return {tensor_of(norm.gamma), tensor_of(norm.beta)}; }

cuda::NormSpec CudaModelSpec::norm_of(const std::optional<model::Norm>& norm) {
  return norm ? norm_of(*norm) : cuda::NormSpec();
}

CudaModelSpec::CudaModelSpec(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  const model::Weights& w = model.weights;
  for (size_t i = 0; i < a.layers(); ++i) {
    const model::LayerWeights& l = w.layers[i];
    layers_.push_back({.query = linear_of(l.query),
                       .key = linear_of(l.key),
                       .value = linear_of(l.value),
                       .attention_output = linear_of(l.attention_output),
                       .gate = linear_of(l.gate),
                       .up = l.router ? cuda::LinearSpec() : linear_of(l.up),
                       .down = l.router ? cuda::LinearSpec() : linear_of(l.down),
                       .attention_norm = norm_of(l.attention_norm),
                       .output_norm = norm_of(l.output_norm),
                       .pattern = pattern_of(a, a.blocks[i].attention),
                       .pre_norm = a.blocks[i].placement == model::NormPlacement::kPre,
                       .relative = relative_of(model, i),
                       .query_norm = norm_of(l.query_norm),
                       .key_norm = norm_of(l.key_norm),
                       .attention_sum_norm = norm_of(l.attention_sum_norm),
                       .output_sum_norm = norm_of(l.output_sum_norm),
                       .global_query = linear_of(l.global_query),
                       .global_key = linear_of(l.global_key),
                       .global_value = linear_of(l.global_value)});
    if (l.global_query) spec_.global_first = 1;
    if (l.router) add_experts(l, *a.blocks[i].feed_forward.experts, layers_.back());
  }
  for (const model::Linear& output : w.outputs) outputs_.push_back(linear_of(output));
  const model::FeedForward& feed_forward = a.blocks[0].feed_forward;
  spec_.layers = narrow(a.layers());
  spec_.hidden = narrow(a.hidden);
  spec_.heads = narrow(a.blocks[0].attention.heads);
  spec_.kv_heads = narrow(a.blocks[0].attention.kv_heads);
  spec_.head_size = narrow(a.blocks[0].attention.head_size);
  spec_.intermediate = narrow(feed_forward.width);
  spec_.gated = feed_forward.gate != model::GateHalf::kNone;
  spec_.embedding = narrow(a.embedding.width);
  spec_.labels = narrow(a.scoring.labels);
  spec_.position_offset = narrow(a.embedding.position_offset);
  spec_.epsilon = a.norm_epsilon;
  spec_.activation = static_cast<cuda::Act>(feed_forward.activation);
  spec_.head_activation = static_cast<cuda::Act>(a.scoring.activation);
  spec_.rms = a.norm == model::NormKind::kRms;
  spec_.scored = scored_of(a.scoring.rows);
  spec_.head_softcap = a.scoring.softcap;
  spec_.words = tensor_of(w.words);
  spec_.positions = tensor_of(w.positions);
  spec_.segments = tensor_of(w.segments);
  spec_.embedding_norm = norm_of(w.embedding_norm);
  spec_.final_norm = norm_of(w.final_norm);
  spec_.head_norm = norm_of(w.head_norm);
  spec_.head_epsilon = a.scoring.norm_epsilon;
  spec_.projection = linear_of(w.embedding_projection);
  spec_.head_dense = linear_of(w.head_dense);
  spec_.head_output = linear_of(w.head_output);
  spec_.layer = layers_.data();
  spec_.first_output = narrow(a.scoring.first_output);
  spec_.outputs = outputs_.data();
  if (!a.convolution) return;
  spec_.convolution = {keep(w.convolution_matrix()), tensor_of(w.convolution_bias), narrow(a.hidden),
                       narrow(a.convolution->width * a.hidden)};
  spec_.convolution_norm = norm_of(w.convolution_norm);
  spec_.convolution_width = narrow(a.convolution->width);
  spec_.convolution_activation = static_cast<cuda::Act>(a.convolution->activation);
}

void CudaModelSpec::add_experts(const model::LayerWeights& weights, const model::Experts& experts,
                                cuda::LayerSpec& layer) {
  std::vector<cuda::ExpertSpec>& own = experts_.emplace_back();
  for (const model::ExpertWeights& expert : weights.experts)
    own.push_back({linear_of(expert.gate), linear_of(expert.up), linear_of(expert.down)});
  layer.router = linear_of(weights.router);
  layer.experts = own.data();
  layer.experts_bias = tensor_of(weights.experts_bias);
  spec_.experts = narrow(experts.count);
  spec_.chosen = narrow(experts.chosen);
  spec_.normalized_shares = experts.normalized;
}

cuda::Tensor CudaModelSpec::keep(std::vector<float> values) {
  const std::vector<float>& kept = kept_.emplace_back(std::move(values));
  return {kept.data(), cuda::Type::kF32, kept.size()};
}

cuda::RelativeSpec CudaModelSpec::relative_of(const model::Model& model, size_t block) {
  const model::Architecture& a = model.architecture();
  const model::Attention& attention = a.blocks[block].attention;
  cuda::RelativeSpec spec;
  if (attention.position != model::PositionKind::kDisentangled && attention.position != model::PositionKind::kBuckets)
    return spec;
  const size_t reach = relative_reach(attention, a.max_length), rows = 2 * reach + 1;
  spec.reach = narrow(reach);
  // values(row of the tables) for each distance, `width` side by side.
  const auto by_distance = [&](const std::vector<float>& table, size_t width) {
    std::vector<float> values;
    for (size_t i = 0; i < rows; ++i) {
      const size_t row = relative_row(attention, static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(reach));
      const auto from = table.begin() + static_cast<ptrdiff_t>(row * width);
      values.insert(values.end(), from, from + static_cast<ptrdiff_t>(width));
    }
    return values;
  };
  if (attention.position == model::PositionKind::kBuckets) {
    if (distance_bias_.count == 0) {
      const std::vector<float> values = by_distance(model.weights.relative->floats(), attention.heads);
      std::vector<float> by_head(values.size());
      for (size_t i = 0; i < values.size(); ++i) by_head[i % attention.heads * rows + i / attention.heads] = values[i];
      distance_bias_ = keep(std::move(by_head));
    }
    spec.bias = distance_bias_;
    return spec;
  }
  const std::vector<float> table = relative_table(model.weights, a);
  const model::LayerWeights& l = model.weights.layers[block];
  if (l.position_key) spec.keys = keep(by_distance(projected_positions(table, *l.position_key), a.hidden));
  if (l.position_query) spec.queries = keep(by_distance(projected_positions(table, *l.position_query), a.hidden));
  return spec;
}

cuda::PatternSpec CudaModelSpec::pattern_of(const model::Architecture& a, const model::Attention& attention) {
  cuda::PatternSpec spec;
  const bool causal = attention.mask == model::MaskKind::kCausal;
  if (attention.mask != model::MaskKind::kFull) spec.window = narrow(std::min(attention.window, a.max_length));
  spec.causal = causal;
  spec.scale = attention.score_scale;
  spec.softcap = attention.softcap;
  if (attention.position == model::PositionKind::kAlibi) {
    if (slopes_.empty())
      for (size_t head = 0; head < attention.heads; ++head) slopes_.push_back(alibi_slope(attention.heads, head));
    spec.slopes = {slopes_.data(), cuda::Type::kF32, slopes_.size()};
  }
  if (attention.position == model::PositionKind::kRope) {
    std::vector<float>& angles = angles_[attention.rope];
    if (angles.empty()) angles = rope_table(attention.rope, attention.head_size, a.max_length);
    spec.angles = {angles.data(), cuda::Type::kF32, angles.size()};
  }
  return spec;
}

}  // namespace rerank::engine
