// A model in FP8 (fp8.h): the layers' products. Embeddings, their projection, attention and experts are the bf16
// engine's, the head is fp32 as everywhere.
#pragma once

#include "engine/cuda/dense.h"
#include "engine/cuda/kernels/fp8.h"

namespace rerank::engine::cuda {

template <>
struct ValueOf<Fp8> {
  using type = __nv_bfloat16;
};

struct Fp8Buffer {
  DeviceBuffer<Fp8> values;
  DeviceBuffer<float> scales;

  template <class Visit>
  void each(size_t rows, uint32_t width, const Visit& visit) {
    visit(values, rows * fp8_side(width));
    visit(scales, rows);
  }
  Fp8Rows rows() const { return {values.data(), scales.data()}; }
};

template <>
struct DeviceLinear<Fp8> {
  DeviceBuffer<Fp8> weight;  // [fp8_side(out), fp8_side(in)]
  DeviceBuffer<float> scales, bias;
  DeviceBuffer<__nv_bfloat16> rounded_bias;  // for cuBLASLt
  uint32_t out = 0, in = 0;

  DeviceLinear() = default;
  DeviceLinear(std::initializer_list<const LinearSpec*> parts, cudaStream_t stream) {
    for (const LinearSpec* part : parts) out += part->out;
    in = (*parts.begin())->in;
    if (in > kFp8Widest)
      throw Failure{Code::kUnsupported, "layers wider than 16384 are not computed in FP8: take --precision bf16"};
    weight.resize(size_t{fp8_side(out)} * fp8_side(in));
    scales.resize(out);
    bias.resize(out);
    rounded_bias.resize(out);
    size_t row = 0;
    for (const LinearSpec* part : parts) {
      if (part->out == 0) continue;
      const DeviceBuffer<float> exact = uploaded<float>(part->weight, stream);
      quantize_rows(exact.data(), {weight.data() + row * fp8_side(in), scales.data() + row}, part->out, in, stream);
      upload(part->bias, bias.data() + row, stream);  // waits
      upload(part->bias, rounded_bias.data() + row, stream);
      row += part->out;
    }
  }
};

template <>
struct States<Fp8> {
  DeviceBuffer<float> exact;    // where the stream is narrow, only what exact_states() has made
  DeviceBuffer<__half> narrow;  // Shape::narrow_stream
  Fp8Buffer rounded;

  template <class Visit>
  void each(const Shape& m, size_t rows, const Visit& visit) {
    visit(exact, rows * std::max(m.hidden, m.embedding));
    if (m.narrow_stream) visit(narrow, rows * m.hidden);
    rounded.each(rows, m.hidden, visit);
  }
  void gather(const Shape& m, const uint32_t* which, uint32_t rows, States& to, cudaStream_t stream) const {
    const auto words = [](const DeviceBuffer<Fp8>& buffer) { return reinterpret_cast<uint32_t*>(buffer.data()); };
    if (m.narrow_stream) {
      gather_rows(narrow.data(), which, to.narrow.data(), rows, m.hidden, stream);
    } else {
      gather_rows(exact.data(), which, to.exact.data(), rows, m.hidden, stream);
    }
    gather_rows(words(rounded.values), which, words(to.rounded.values), rows, fp8_side(m.hidden) / 4, stream);
    gather_rows(rounded.scales.data(), which, to.rounded.scales.data(), rows, 1, stream);
  }
};

template <>
struct Scratch<Fp8> {
  DeviceBuffer<__nv_bfloat16> sums, projected;  // of a product; the embedding after its projection
  Fp8Buffer context, inner;

  template <class Visit>
  void each(const Shape& m, size_t rows, const Visit& visit) {
    const uint32_t up = m.gated ? 2 * m.intermediate : m.intermediate, qkv = query_width(m) + 2 * key_width(m);
    visit(sums, rows * std::max({fp8_side(qkv), fp8_side(up), fp8_side(m.hidden), m.embedding}));
    if (m.projection.out > 0) visit(projected, rows * m.hidden);
    context.each(rows, query_width(m), visit);
    inner.each(rows, m.intermediate, visit);
  }
};

template <>
class Dense<Fp8> {
 public:
  Dense(const DeviceModel<Fp8>& model, Gemm& gemm, cudaStream_t stream) : model_(model), gemm_(gemm), stream_(stream) {}

  void embed(const Tokens& tokens, Activations<Fp8>& a) {
    const Shape& m = model_.shape;
    const auto& [sums, projected, context, inner] = a.scratch;
    float* exact = a.states.exact.data();
    const size_t numbers = size_t{tokens.count} * m.hidden;
    cuda::embed(model_.embed_args(tokens, exact, sums.data()), stream_);
    if (m.projection.out > 0) {
      const auto& w = model_.projection;
      gemm_.run(sums.data(), w.weight.data(), w.bias.data(), projected.data(), padded_rows(tokens.count), w.out, w.in,
                Epilogue::kBias, stream_);
      convert(projected.data(), exact, numbers, stream_);
    }
    quantize_rows(exact, a.states.rounded.rows(), tokens.count, m.hidden, stream_);
    if (m.narrow_stream) convert(exact, a.states.narrow.data(), numbers, stream_);
  }

  float* exact_states(States<Fp8>& states, uint32_t rows) {
    const size_t count = size_t{rows} * model_.shape.hidden;
    if (model_.shape.narrow_stream) convert(states.narrow.data(), states.exact.data(), count, stream_);
    return states.exact.data();
  }

  void linear(const DeviceLinear<Fp8>& w, uint32_t first, uint32_t outs, const States<Fp8>& x, uint32_t rows,
              __nv_bfloat16* y, Scratch<Fp8>& scratch) {
    const uint32_t side = fp8_side(w.in);
    if (gemm_.scales_outputs() && outs % 16 == 0 && first % 4 == 0) {
      try {
        return gemm_.run(x.rounded.values.data(), w.weight.data() + size_t{first} * side,
                         {x.rounded.scales.data(), w.scales.data() + first}, w.rounded_bias.data() + first, y,
                         padded_rows(rows), outs, side, stream_);
      } catch (const Failure& failure) {
        if (failure.code != Code::kUnsupported) throw;
        gemm_.scale_no_outputs();  // from now on as below
      }
    }
    scale_sums(multiply(w, first, outs, x.rounded.rows(), rows, scratch), y, rows, stream_);
  }

  void add_attention(const DeviceLayer<Fp8>& w, const DeviceNorm* next, Activations<Fp8>& a, uint32_t rows) {
    const Fp8Rows context = a.scratch.context.rows();
    quantize_rows(a.context.data(), context, rows, query_width(model_.shape), stream_);
    output(w, w.attention_output, {w.attention_sum_norm, w.pre_norm ? next : &w.attention_norm}, context, a, rows);
  }

  void norm_input(const DeviceNorm& w, States<Fp8>& states, uint32_t rows) {
    residual_sums<float>({.stream = states.exact.data(), .rounded = states.rounded.rows(), .norm = model_.norm(w)},
                         rows, model_.shape.hidden, stream_);
  }

  void add_feed_forward(const DeviceLayer<Fp8>& w, const DeviceNorm* next, Activations<Fp8>& a, uint32_t rows) {
    if (w.experts.router.out > 0) return add_experts(w, next, a, rows);
    const Fp8Rows inner = a.scratch.inner.rows(), x = a.states.rounded.rows();
    const Fp8Sums sums = multiply(w.up, 0, w.up.out, x, rows, a.scratch);
    if (model_.shape.gated) {
      gate_sums(sums, model_.shape.activation, inner, rows, stream_);
    } else {
      activate_sums(sums, model_.shape.activation, inner, rows, stream_);
    }
    output(w, w.down, {w.output_sum_norm, w.pre_norm ? next : &w.output_norm}, inner, a, rows);
  }

  // stream = norm(stream + added).
  void add_and_norm(const __nv_bfloat16* added, const DeviceNorm& norm, Activations<Fp8>& a, uint32_t rows) {
    float* const exact = a.states.exact.data();
    residual<__nv_bfloat16>({.added = added, .exact = exact, .norm = model_.norm(norm), .post = true}, rows,
                            model_.shape.hidden, stream_);
    quantize_rows(exact, a.states.rounded.rows(), rows, model_.shape.hidden, stream_);
  }

 private:
  // In bf16, of the stream as it is before it is quantized.
  void add_experts(const DeviceLayer<Fp8>& w, const DeviceNorm* next, Activations<Fp8>& a, uint32_t rows) {
    const uint32_t hidden = model_.shape.hidden;
    float* const exact = a.states.exact.data();
    __nv_bfloat16* const x = a.experts.sum.data();
    if (w.pre_norm) {
      residual<__nv_bfloat16>({.exact = exact, .rounded = x, .norm = model_.norm(w.output_norm)}, rows, hidden,
                              stream_);
    } else {
      convert(exact, x, size_t{rows} * hidden, stream_);
    }
    compute_experts<__nv_bfloat16>(model_.shape, w.experts, {w.pre_norm ? nullptr : exact, x, rows}, a.experts, gemm_,
                                   stream_);
    if (!w.pre_norm) return add_and_norm(x, w.output_norm, a, rows);
    residual<__nv_bfloat16>({.added = x, .exact = exact, .sum_norm = model_.norm(w.output_sum_norm)}, rows, hidden,
                            stream_);
    if (next != nullptr && next->there()) norm_input(*next, a.states, rows);
  }

  // Outputs [first, first + outs) of w; what is computed after them, to fill up a side, is not read.
  Fp8Sums multiply(const DeviceLinear<Fp8>& w, uint32_t first, uint32_t outs, const Fp8Rows& x, uint32_t rows,
                   Scratch<Fp8>& scratch) {
    const uint32_t side = fp8_side(w.in);
    gemm_.run(x.values, w.weight.data() + size_t{first} * side, scratch.sums.data(), padded_rows(rows), fp8_side(outs),
              side, stream_);
    return {scratch.sums.data(), x.scales, w.scales.data() + first, w.bias.data() + first, outs};
  }

  struct Norms {
    const DeviceNorm& sum;
    const DeviceNorm* behind;  // null: none
  };

  // The product onto the stream, and the norm after it.
  void output(const DeviceLayer<Fp8>& layer, const DeviceLinear<Fp8>& w, const Norms& norms, const Fp8Rows& x,
              Activations<Fp8>& a, uint32_t rows) {
    const Fp8Sums added = multiply(w, 0, w.out, x, rows, a.scratch);
    const auto add_to = [&](auto* stream) {
      residual_sums<std::remove_pointer_t<decltype(stream)>>(
          {.added = added,
           .stream = stream,
           .rounded = a.states.rounded.rows(),
           .sum_norm = model_.norm(norms.sum),
           .norm = norms.behind == nullptr ? NormArgs() : model_.norm(*norms.behind),
           .post = !layer.pre_norm},
          rows, model_.shape.hidden, stream_);
    };
    model_.shape.narrow_stream ? add_to(a.states.narrow.data()) : add_to(a.states.exact.data());
  }

  const DeviceModel<Fp8>& model_;
  Gemm& gemm_;
  cudaStream_t stream_;
};

}  // namespace rerank::engine::cuda
