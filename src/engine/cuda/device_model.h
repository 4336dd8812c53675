// A model's weights on one device, in the engine's type T; the head's stay fp32.
#pragma once

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <map>
#include <type_traits>
#include <vector>

#include "engine/cuda/device.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

// The type of what is no product in an engine that multiplies numbers of type T.
template <class T>
struct ValueOf {
  using type = T;
};
template <class T>
using Value = typename ValueOf<T>::type;
template <class T>
inline constexpr Type type_of_products = std::is_same_v<T, Value<T>> ? type_of<T> : Type::kFp8;

// A model's sizes, and what follows from its blocks.
struct Shape : ModelSpec {
  // Of FP8: the residual stream is fp16, where every block norms it (post-norm): its numbers are of one size,
  // and where no part reads it besides (experts, convolutions).
  bool narrow_stream = false;
};

inline size_t bytes_of(Type type) { return type == Type::kF32 ? 4 : 2; }

// The first fields of a struct that another version of the program may have made, as many as both know.
template <class Struct>
Struct known_part(const Struct& from, size_t size) {
  Struct part;
  std::memcpy(static_cast<void*>(&part), &from, std::min(size, sizeof(Struct)));
  return part;
}

// Nothing where the tensor is absent.
template <class To>
void upload(const Tensor& tensor, To* to, cudaStream_t stream) {
  if (tensor.count == 0) return;
  DeviceBuffer<unsigned char> raw(tensor.count * bytes_of(tensor.type));
  check(cudaMemcpyAsync(raw.data(), tensor.data, tensor.count * bytes_of(tensor.type), cudaMemcpyHostToDevice, stream),
        "copying weights");
  switch (tensor.type) {
    case Type::kF32:
      convert(reinterpret_cast<const float*>(raw.data()), to, tensor.count, stream);
      break;
    case Type::kF16:
      convert(reinterpret_cast<const __half*>(raw.data()), to, tensor.count, stream);
      break;
    case Type::kBf16:
      convert(reinterpret_cast<const __nv_bfloat16*>(raw.data()), to, tensor.count, stream);
      break;
    case Type::kFp8:
      throw Failure{Code::kUnsupported, "weights that are FP8 already"};
  }
  check(cudaStreamSynchronize(stream), "copying weights");  // `raw` ends here
}

template <class To>
DeviceBuffer<To> uploaded(const Tensor& tensor, cudaStream_t stream) {
  DeviceBuffer<To> buffer(tensor.count);
  upload(tensor, buffer.data(), stream);
  return buffer;
}

inline DeviceBuffer<float> optional_floats(const Tensor& tensor, cudaStream_t stream) {
  return tensor.count > 0 ? uploaded<float>(tensor, stream) : DeviceBuffer<float>();
}

template <class T>
struct DeviceLinear {  // linear layers over one input, side by side
  DeviceBuffer<T> weight, bias;
  uint32_t out = 0, in = 0;

  DeviceLinear() = default;
  DeviceLinear(std::initializer_list<const LinearSpec*> parts, cudaStream_t stream) {
    for (const LinearSpec* part : parts) out += part->out;
    in = (*parts.begin())->in;
    weight.resize(size_t{out} * in);
    bias.resize(out);
    size_t row = 0;
    for (const LinearSpec* part : parts) {
      upload(part->weight, weight.data() + row * in, stream);
      upload(part->bias, bias.data() + row, stream);
      row += part->out;
    }
  }
};

struct DeviceNorm {
  DeviceBuffer<float> gamma, beta;  // null: there is none

  DeviceNorm() = default;
  DeviceNorm(const NormSpec& norm, cudaStream_t stream)
      : gamma(optional_floats(norm.gamma, stream)), beta(optional_floats(norm.beta, stream)) {}
  bool there() const { return gamma.data() != nullptr; }
  NormArgs args(float epsilon, bool rms) const { return {gamma.data(), beta.data(), epsilon, rms}; }
};

// Matrices of all experts, one after the other.
template <class T>
struct DeviceExperts {
  DeviceLinear<float> router;  // out 0: there are none
  DeviceBuffer<T> up, down;    // up: each expert's gate, then its up, where it is gated
  DeviceBuffer<float> bias;    // null: none

  DeviceExperts() = default;
  DeviceExperts(const LayerSpec& layer, cudaStream_t stream) {
    if (layer.router.out == 0) return;
    router = DeviceLinear<float>({&layer.router}, stream);
    bias = optional_floats(layer.experts_bias, stream);
    const ExpertSpec& first = layer.experts[0];
    const size_t up_size = first.gate.weight.count + first.up.weight.count, down_size = first.down.weight.count;
    up.resize(layer.router.out * up_size);
    down.resize(layer.router.out * down_size);
    for (size_t e = 0; e < layer.router.out; ++e) {
      const ExpertSpec& expert = layer.experts[e];
      upload(expert.gate.weight, up.data() + e * up_size, stream);
      upload(expert.up.weight, up.data() + e * up_size + expert.gate.weight.count, stream);
      upload(expert.down.weight, down.data() + e * down_size, stream);
    }
  }
};

template <class T>
struct DeviceLayer {
  DeviceLinear<T> query_key_value, attention_output, up, down;  // up: gate and up side by side, where it is gated
  DeviceNorm attention_norm, output_norm, query_norm, key_norm, attention_sum_norm, output_sum_norm;
  PatternSpec pattern;  // its tensors are not looked at again
  DeviceBuffer<float> slopes;
  const float* angles;  // of DeviceModel; null: none
  bool pre_norm;
  DeviceBuffer<float> position_keys, position_queries, distance_bias;
  uint32_t reach;
  DeviceLinear<T> global_query, global_key_value;
  DeviceExperts<Value<T>> experts;
};

template <class T>
struct DeviceModel {
  Shape shape;  // its tensors are not looked at again
  DeviceBuffer<Value<T>> words, positions, segments;
  DeviceNorm embedding_norm, final_norm, head_norm;
  DeviceLinear<Value<T>> projection;
  std::map<const void*, DeviceBuffer<float>> angles;  // by their place in host memory: layers share them
  std::vector<DeviceLayer<T>> layers;
  DeviceLinear<float> head_dense, head_output;  // head_dense.out 0: there is none
  std::vector<DeviceLinear<float>> outputs;     // from layer first_output on
  DeviceLinear<Value<T>> convolution;           // out 0: there is none
  DeviceNorm convolution_norm;

  DeviceModel(const ModelSpec& given, cudaStream_t stream) : shape{known_part(given, given.struct_size)} {
    const ModelSpec& spec = shape;
    words = uploaded<Value<T>>(spec.words, stream);
    if (spec.positions.count > 0) positions = uploaded<Value<T>>(spec.positions, stream);
    if (spec.segments.count > 0) segments = uploaded<Value<T>>(spec.segments, stream);
    embedding_norm = DeviceNorm(spec.embedding_norm, stream);
    final_norm = DeviceNorm(spec.final_norm, stream);
    head_norm = DeviceNorm(spec.head_norm, stream);
    if (spec.projection.out > 0) projection = DeviceLinear<Value<T>>({&spec.projection}, stream);
    for (uint32_t i = 0; i < spec.layers; ++i) {
      const auto* at = reinterpret_cast<const unsigned char*>(spec.layer) + i * spec.layer_size;
      const LayerSpec l = known_part(*reinterpret_cast<const LayerSpec*>(at), spec.layer_size);
      layers.push_back(
          {.query_key_value = DeviceLinear<T>({&l.query, &l.key, &l.value}, stream),
           .attention_output = DeviceLinear<T>({&l.attention_output}, stream),
           .up = l.gate.out > 0 ? DeviceLinear<T>({&l.gate, &l.up}, stream) : DeviceLinear<T>({&l.up}, stream),
           .down = DeviceLinear<T>({&l.down}, stream),
           .attention_norm = DeviceNorm(l.attention_norm, stream),
           .output_norm = DeviceNorm(l.output_norm, stream),
           .query_norm = DeviceNorm(l.query_norm, stream),
           .key_norm = DeviceNorm(l.key_norm, stream),
           .attention_sum_norm = DeviceNorm(l.attention_sum_norm, stream),
           .output_sum_norm = DeviceNorm(l.output_sum_norm, stream),
           .pattern = l.pattern,
           .slopes = optional_floats(l.pattern.slopes, stream),
           .angles = shared_angles(l.pattern.angles, stream),
           .pre_norm = l.pre_norm != 0,
           .position_keys = optional_floats(l.relative.keys, stream),
           .position_queries = optional_floats(l.relative.queries, stream),
           .distance_bias = optional_floats(l.relative.bias, stream),
           .reach = l.relative.reach,
           .global_query = DeviceLinear<T>({&l.global_query}, stream),
           .global_key_value = DeviceLinear<T>({&l.global_key, &l.global_value}, stream),
           .experts = DeviceExperts<Value<T>>(l, stream)});
    }
    if (spec.convolution.out > 0) convolution = DeviceLinear<Value<T>>({&spec.convolution}, stream);
    convolution_norm = DeviceNorm(spec.convolution_norm, stream);
    if (spec.head_dense.out > 0) head_dense = DeviceLinear<float>({&spec.head_dense}, stream);
    head_output = DeviceLinear<float>({&spec.head_output}, stream);
    for (uint32_t i = spec.first_output; i != 0 && i <= spec.layers; ++i)
      outputs.push_back(DeviceLinear<float>({&spec.outputs[i - spec.first_output]}, stream));
    const bool post_norm =
        std::none_of(layers.begin(), layers.end(), [](const DeviceLayer<T>& layer) { return layer.pre_norm; });
    shape.narrow_stream =
        type_of_products<T> == Type::kFp8 && post_norm && spec.experts == 0 && spec.convolution.out == 0;
    shape.layer = nullptr;
    shape.outputs = nullptr;
  }

  EmbedArgs<Value<T>> embed_args(const Tokens& tokens, float* exact, Value<T>* rounded) const {
    return {.words = words.data(),
            .positions = positions.data(),
            .segments = segments.data(),
            .tokens = tokens,
            .position_offset = shape.position_offset,
            .width = shape.embedding,
            .norm = norm(embedding_norm),
            .exact = exact,
            .rounded = rounded};
  }

  NormArgs norm(const DeviceNorm& w) const { return w.args(shape.epsilon, shape.rms != 0); }
  // The head's last layer of a pass that ends after so many layers.
  const DeviceLinear<float>& output(size_t layers) const {
    return shape.first_output != 0 && layers >= shape.first_output ? outputs[layers - shape.first_output] : head_output;
  }

  const float* shared_angles(const Tensor& host, cudaStream_t stream) {
    if (host.count == 0) return nullptr;
    DeviceBuffer<float>& there = angles[host.data];
    if (there.data() == nullptr) there = uploaded<float>(host, stream);
    return there.data();
  }
};

}  // namespace rerank::engine::cuda
