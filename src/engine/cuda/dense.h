// What of a layer is computed row by row: products, activations, norms; attention is the verbs' own. T is the type of
// the numbers that products multiply.
#pragma once

#include "engine/cuda/activations.h"
#include "engine/cuda/kernels/gemm.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::cuda {

template <class T>
class Dense {
 public:
  Dense(const DeviceModel<T>& model, Gemm& gemm, cudaStream_t stream) : model_(model), gemm_(gemm), stream_(stream) {}

  void embed(const Tokens& tokens, Activations<T>& a) {
    const ModelSpec& m = model_.shape;
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

  void attention_output(const DeviceLayer<T>& w, Activations<T>& a, uint32_t rows) {
    multiply(w.attention_output, a.context.data(), a.scratch.product.data(), rows);
    norm(w.attention_norm, a, rows);
  }

  void feed_forward(const DeviceLayer<T>& w, Activations<T>& a, uint32_t rows) {
    const Act act = model_.shape.activation;
    T* inner = a.scratch.inner.data();
    // The tanh form is within 5e-4 of erf's (docs/decisions/0003): 16 bits take it, for it costs nothing there; in fp32
    // GELU is what the model says.
    const bool fused = act == Act::kGeluTanh || (act == Act::kGelu && sizeof(T) == 2);
    gemm_.run(a.states.rounded.data(), w.up.weight.data(), w.up.bias.data(), inner, padded_rows(rows), w.up.out,
              w.up.in, fused ? Epilogue::kBiasGeluTanh : Epilogue::kBias, stream_);
    if (!fused) activate(act, inner, size_t{rows} * w.up.out, stream_);
    multiply(w.down, inner, a.scratch.product.data(), rows);
    norm(w.output_norm, a, rows);
  }

 private:
  void multiply(const DeviceLinear<T>& w, const T* x, T* y, uint32_t rows) {
    gemm_.run(x, w.weight.data(), w.bias.data(), y, padded_rows(rows), w.out, w.in, Epilogue::kBias, stream_);
  }
  void norm(const DeviceNorm& w, Activations<T>& a, uint32_t rows) {
    const ModelSpec& m = model_.shape;
    add_norm(a.scratch.product.data(), a.states.exact.data(), a.states.rounded.data(), w.gamma.data(), w.beta.data(),
             m.epsilon, rows, m.hidden, stream_);
  }

  const DeviceModel<T>& model_;
  Gemm& gemm_;
  cudaStream_t stream_;
};

}  // namespace rerank::cuda
