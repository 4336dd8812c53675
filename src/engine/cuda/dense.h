// What of a layer is computed row by row: products, activations, norms; attention is the verbs' own. T is the type of
// the numbers that products multiply.
#pragma once

#include "engine/cuda/activations.h"
#include "engine/cuda/kernels/gemm.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

// Rows that a feed-forward of experts reads, as products read them; in fp32 for the router, or null: the same, widened.
template <class T>
struct ExpertInput {
  const float* exact;
  const T* rounded;
  uint32_t rows;
};

// b.sum = what the experts give together. The rounded input may lie there.
template <class T>
void compute_experts(const ModelSpec& m, const DeviceExperts<T>& w, const ExpertInput<T>& x, ExpertBuffers<T>& b,
                     Gemm& gemm, cudaStream_t stream) {
  const float* input = x.exact;
  if (input == nullptr) {
    convert(x.rounded, b.input.data(), size_t{x.rows} * m.hidden, stream);
    input = b.input.data();
  }
  gemm.run(input, w.router.weight.data(), w.router.bias.data(), b.scores.data(), padded_rows(x.rows), w.router.out,
           w.router.in, Epilogue::kBias, stream);
  const Choices choices = b.choices(m, x.rows);
  choose_experts(b.scores.data(), choices, stream);
  const bool gated = m.gated != 0;
  multiply_experts<T>({.x = x.rounded,
                       .weight = w.up.data(),
                       .y = gated ? b.both.data() : b.inner.data(),
                       .out = gated ? 2 * m.intermediate : m.intermediate,
                       .in = m.hidden,
                       .placed = false,
                       .activated = !gated,
                       .act = m.activation},
                      choices, stream);
  if (gated)
    apply_gate(m.activation, b.both.data(), b.inner.data(), choices.tiles * kExpertTile, m.intermediate, stream);
  multiply_experts<T>({.x = b.inner.data(),
                       .weight = w.down.data(),
                       .y = b.out.data(),
                       .out = m.hidden,
                       .in = m.intermediate,
                       .placed = true,
                       .activated = false,
                       .act = m.activation},
                      choices, stream);
  combine_experts(b.out.data(), choices, w.bias.data(), b.sum.data(), m.hidden, stream);
}

template <class T>
class Dense {
 public:
  Dense(const DeviceModel<T>& model, Gemm& gemm, cudaStream_t stream) : model_(model), gemm_(gemm), stream_(stream) {}

  void embed(const Tokens& tokens, Activations<T>& a) {
    const Shape& m = model_.shape;
    States<T>& to = a.states;
    const bool projected = m.projection.out > 0;
    T* rounded = projected ? a.scratch.product.data() : to.rounded.data();
    cuda::embed(model_.embed_args(tokens, to.exact.data(), rounded), stream_);
    if (!projected) return;
    multiply(model_.projection, rounded, to.rounded.data(), tokens.count);
    convert(to.rounded.data(), to.exact.data(), size_t{tokens.count} * m.hidden, stream_);
  }

  // y [rows, outs] = outputs [first, first + outs) of w.
  void linear(const DeviceLinear<T>& w, uint32_t first, uint32_t outs, const States<T>& x, uint32_t rows, T* y,
              Scratch<T>&) {
    gemm_.run(x.rounded.data(), w.weight.data() + size_t{first} * w.in, w.bias.data() + first, y, padded_rows(rows),
              outs, w.in, Epilogue::kBias, stream_);
  }

  // The stream in fp32, of so many rows.
  float* exact_states(States<T>& states, uint32_t) { return states.exact.data(); }

  // stream += context W^T + b, and the norm after it: a post-norm block's own, else `next`, where that is not null.
  void add_attention(const DeviceLayer<T>& w, const DeviceNorm* next, Activations<T>& a, uint32_t rows) {
    multiply(w.attention_output, a.context.data(), a.scratch.product.data(), rows);
    add(a.scratch.product.data(), w.attention_sum_norm, w.pre_norm ? next : &w.attention_norm, w.pre_norm, a, rows);
  }

  // What products read next, of a pre-norm block.
  void norm_input(const DeviceNorm& w, States<T>& states, uint32_t rows) {
    residual<T>({.exact = states.exact.data(), .rounded = states.rounded.data(), .norm = model_.norm(w)}, rows,
                model_.shape.hidden, stream_);
  }

  void add_feed_forward(const DeviceLayer<T>& w, const DeviceNorm* next, Activations<T>& a, uint32_t rows) {
    if (w.experts.router.out > 0) return add_experts(w, next, a, rows);
    const Shape& m = model_.shape;
    const Act act = m.activation;
    T* inner = a.scratch.inner.data();
    if (m.gated) {
      multiply(w.up, a.states.rounded.data(), a.scratch.both.data(), rows);
      apply_gate(act, a.scratch.both.data(), inner, rows, m.intermediate, stream_);
    } else {
      // The tanh form is within 5e-4 of erf's (docs/decisions/0003): 16 bits take it, for it costs nothing there; in
      // fp32 GELU is what the model says.
      const bool fused = act == Act::kGeluTanh || (act == Act::kGelu && sizeof(T) == 2);
      gemm_.run(a.states.rounded.data(), w.up.weight.data(), w.up.bias.data(), inner, padded_rows(rows), w.up.out,
                w.up.in, fused ? Epilogue::kBiasGeluTanh : Epilogue::kBias, stream_);
      if (!fused) activate(act, inner, size_t{rows} * w.up.out, stream_);
    }
    multiply(w.down, inner, a.scratch.product.data(), rows);
    add(a.scratch.product.data(), w.output_sum_norm, w.pre_norm ? next : &w.output_norm, w.pre_norm, a, rows);
  }

  // stream = norm(stream + added).
  void add_and_norm(const T* added, const DeviceNorm& norm, Activations<T>& a, uint32_t rows) {
    residual<T>({.added = added,
                 .exact = a.states.exact.data(),
                 .rounded = a.states.rounded.data(),
                 .norm = model_.norm(norm),
                 .post = true},
                rows, model_.shape.hidden, stream_);
  }

 private:
  void add_experts(const DeviceLayer<T>& w, const DeviceNorm* next, Activations<T>& a, uint32_t rows) {
    const T* rounded = a.states.rounded.data();
    compute_experts<T>(model_.shape, w.experts, {w.pre_norm ? nullptr : a.states.exact.data(), rounded, rows},
                       a.experts, gemm_, stream_);
    add(a.experts.sum.data(), w.output_sum_norm, w.pre_norm ? next : &w.output_norm, w.pre_norm, a, rows);
  }

  void multiply(const DeviceLinear<T>& w, const T* x, T* y, uint32_t rows) {
    gemm_.run(x, w.weight.data(), w.bias.data(), y, padded_rows(rows), w.out, w.in, Epilogue::kBias, stream_);
  }
  // A product onto the stream.
  void add(const T* added, const DeviceNorm& sum_norm, const DeviceNorm* norm, bool pre_norm, Activations<T>& a,
           uint32_t rows) {
    residual<T>({.added = added,
                 .exact = a.states.exact.data(),
                 .rounded = a.states.rounded.data(),
                 .sum_norm = model_.norm(sum_norm),
                 .norm = norm == nullptr ? NormArgs() : model_.norm(*norm),
                 .post = !pre_norm},
                rows, model_.shape.hidden, stream_);
  }

  const DeviceModel<T>& model_;
  Gemm& gemm_;
  cudaStream_t stream_;
};

}  // namespace rerank::engine::cuda
