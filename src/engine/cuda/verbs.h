// The verbs of engine/encoder.h on one device. The residual stream is fp32; what products read is the engine's type T
// beside it. Everything runs on one stream.
#pragma once

#include <cstring>
#include <span>
#include <utility>

#include "engine/cuda/activations.h"
#include "engine/cuda/batch_input.h"
#include "engine/cuda/device_model.h"
#include "engine/cuda/gemm.h"
#include "engine/cuda/kernels.h"
#include "engine/layers.h"

namespace rerank::cuda {

template <class T>
class CudaOps {
 public:
  CudaOps(const ModelSpec& spec, cudaStream_t stream) : model_(spec, stream), stream_(stream) {}

  // Before the verbs: the batch to the device, and room for its activations.
  void load(const BatchSpec& spec) {
    restore();
    input_.load(spec, stream_);
    rows_ = input_.counts().tokens;
    a_.reserve(model_.shape, rows_, input_.counts().sequences);
  }

  // Behind load(), and again: the launches of the verbs are for the batch alone, or the same for all batches of its
  // class.
  void fill_up(bool on) {
    restore();
    input_.fill_up(on);
    rows_ = input_.counts().tokens;
  }
  const BatchInput::Counts& full() const { return input_.full(); }
  // Of all that such launches are given, besides the model.
  std::vector<const void*> addresses() {
    std::vector<const void*> all{input_.data()};
    a_.add_addresses(model_.shape, all);
    return all;
  }

  // Between layers: only these sequences stay, their rows moved together.
  void keep_sequences(std::span<const uint32_t> sequences) {
    input_.keep(sequences, stream_);
    rows_ = input_.counts().tokens;
    const uint32_t hidden = model_.shape.hidden;
    a_.reserve_spare(model_.shape, rows_);
    gather_rows(a_.exact.data(), input_.rows(), a_.spare.data(), rows_, hidden, stream_);
    gather_rows(a_.rounded.data(), input_.rows(), a_.product.data(), rows_, hidden, stream_);
    std::swap(a_.exact, a_.spare);
    std::swap(a_.rounded, a_.product);
    packed_ = !packed_;
  }

  Batch batch() const { return input_.batch(); }

  void embed(const Batch&) {
    const ModelSpec& m = model_.shape;
    const bool projected = m.projection.out > 0;
    const EmbedArgs<T> args{model_.words.data(),
                            model_.positions.data(),
                            model_.segments.data(),
                            input_.ids(),
                            input_.kinds(),
                            input_.places(),
                            m.position_offset,
                            m.embedding,
                            rows_,
                            model_.embedding_norm.gamma.data(),
                            model_.embedding_norm.beta.data(),
                            m.epsilon,
                            a_.exact.data(),
                            projected ? a_.product.data() : a_.rounded.data()};
    cuda::embed(args, stream_);
    if (!projected) return;
    linear(model_.projection, a_.product.data(), a_.rounded.data(), rows_);
    convert(a_.rounded.data(), a_.exact.data(), size_t{rows_} * m.hidden, stream_);
  }

  void project(size_t layer, const Batch&, Rows rows) {
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const float* turns = model_.layers[layer].turns;
    layer_ = layer;
    if (rows == Rows::kAll) {
      linear(w, a_.rounded.data(), a_.qkv.data(), rows_);
      if (turns != nullptr) turn_heads(3, 2, turns);
      return;
    }
    // Keys and values of every row; queries of the first rows only.
    const uint32_t h = model_.shape.hidden, sequences = input_.counts().sequences;
    gemm_.run(a_.rounded.data(), w.weight.data() + size_t{h} * h, w.bias.data() + h, a_.qkv.data(), padded_rows(rows_),
              2 * h, h, Epilogue::kBias, stream_);
    if (turns != nullptr) turn_heads(2, 1, turns);  // first rows stand at position 0, which turns nothing
    gather_rows(a_.rounded.data(), input_.firsts(), a_.first_rounded.data(), sequences, h, stream_);
    gather_rows(a_.exact.data(), input_.firsts(), a_.first_exact.data(), sequences, h, stream_);
    gemm_.run(a_.first_rounded.data(), w.weight.data(), w.bias.data(), a_.first_queries.data(), padded_rows(sequences),
              h, h, Epilogue::kBias, stream_);
  }

  void attend(const Batch&, Rows rows) {
    const ModelSpec& m = model_.shape;
    const AttentionShape shape{m.heads, m.hidden / m.heads, m.hidden, model_.layers[layer_].window,
                               model_.layers[layer_].slopes.data()};
    if (rows == Rows::kAll)
      return attend_all(a_.qkv.data(), a_.context.data(), input_.tiles(), input_.counts().tiles, shape, stream_);
    attend_first(a_.first_queries.data(), a_.qkv.data(), a_.context.data(), places(), input_.counts().sequences, shape,
                 stream_);
  }

  void keep(const Batch&, Rows rows) {
    if (rows == Rows::kAll) return;
    std::swap(a_.exact, a_.first_exact);  // project() has gathered the first rows there
    std::swap(a_.rounded, a_.first_rounded);
    rows_ = input_.counts().sequences;
    swapped_ = true;
  }

  void attention_output(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    linear(w.attention_output, a_.context.data(), a_.product.data(), rows_);
    norm(w.attention_norm);
  }

  void feed_forward(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    const ModelSpec& m = model_.shape;
    // The tanh form is within 5e-4 of erf's (docs/decisions/0003): 16 bits take it, for it costs nothing there; in fp32
    // GELU is what the model says.
    const bool fused = m.activation == Act::kGeluTanh || (m.activation == Act::kGelu && sizeof(T) == 2);
    gemm_.run(a_.rounded.data(), w.up.weight.data(), w.up.bias.data(), a_.inner.data(), padded_rows(rows_), w.up.out,
              w.up.in, fused ? Epilogue::kBiasGeluTanh : Epilogue::kBias, stream_);
    if (!fused) activate(m.activation, a_.inner.data(), size_t{rows_} * w.up.out, stream_);
    linear(w.down, a_.inner.data(), a_.product.data(), rows_);
    norm(w.output_norm);
  }

  void head() {
    const ModelSpec& m = model_.shape;
    linear(model_.head_dense, a_.exact.data(), a_.dense.data(), rows_);
    head_logits(a_.dense.data(), m.head_activation, model_.head_output.weight.data(), model_.head_output.bias.data(),
                a_.logits.data(), rows_, m.hidden, m.labels, stream_);
    restore();
  }

  // Waits for what head() has begun.
  void receive_logits(float* logits) { receive(a_.logits.data(), {logits, batch().size()}); }

  // What exits read, of all rows.
  void pool_states(float* out) {
    const uint32_t sequences = input_.counts().sequences;
    const size_t count = size_t{sequences} * 3 * model_.shape.hidden;
    a_.reserve_pooled(model_.shape, sequences);
    pool(a_.exact.data(), places(), input_.queries(), a_.pooled.data(), sequences, model_.shape.hidden, stream_);
    receive(a_.pooled.data(), {out, count});
  }

  void release() { a_.release(); }
  Tuning& tuning() { return gemm_.tuning(); }

  // On the device, of the largest batch so far, were it of that size.
  size_t batch_bytes(uint32_t tokens, uint32_t sequences) const {
    return BatchInput::device_bytes(tokens, sequences) + Activations<T>::bytes(model_.shape, tokens, sequences);
  }

 private:
  // Back to the buffers of whole batches, also after a batch that failed half-way.
  void restore() {
    if (std::exchange(swapped_, false)) {
      std::swap(a_.exact, a_.first_exact);
      std::swap(a_.rounded, a_.first_rounded);
    }
    if (std::exchange(packed_, false)) {
      std::swap(a_.exact, a_.spare);
      std::swap(a_.rounded, a_.product);
    }
  }

  SequenceRows places() const { return {input_.firsts(), input_.lengths()}; }

  // RoPE of the first `turned` of `parts` that lie side by side in qkv.
  void turn_heads(uint32_t parts, uint32_t turned, const float* turns) {
    const ModelSpec& m = model_.shape;
    turn(a_.qkv.data(), size_t{parts} * m.hidden, turned * m.heads, m.hidden / m.heads, turns, input_.tiles(),
         input_.counts().tiles, stream_);
  }

  // Waits for all that was begun.
  void receive(const float* from, std::span<float> to) {
    results_.resize(to.size_bytes());
    check(cudaMemcpyAsync(results_.as<void>(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream_), "results");
    check(cudaStreamSynchronize(stream_), "computing a batch");
    std::memcpy(to.data(), results_.as<void>(), to.size_bytes());
  }

  template <class P>
  void linear(const DeviceLinear<P>& w, const P* x, P* y, uint32_t rows) {
    gemm_.run(x, w.weight.data(), w.bias.data(), y, padded_rows(rows), w.out, w.in, Epilogue::kBias, stream_);
  }

  void norm(const DeviceNorm& w) {
    add_norm(a_.product.data(), a_.exact.data(), a_.rounded.data(), w.gamma.data(), w.beta.data(), model_.shape.epsilon,
             rows_, model_.shape.hidden, stream_);
  }

  DeviceModel<T> model_;
  cudaStream_t stream_;
  Gemm gemm_;
  BatchInput input_;
  PinnedBuffer results_;
  Activations<T> a_;
  uint32_t rows_ = 0;                      // of exact, rounded and context that are in use
  size_t layer_ = 0;                       // that project() began
  bool swapped_ = false, packed_ = false;  // states and their first rows; states and those of fewer sequences
};

}  // namespace rerank::cuda
