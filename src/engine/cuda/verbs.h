// The verbs of engine/encoder.h on one device. The residual stream is fp32; what products read is the engine's type T
// beside it. Everything runs on one stream.
#pragma once

#include <cstring>
#include <span>
#include <utility>

#include "engine/cuda/activations.h"
#include "engine/cuda/batch_input.h"
#include "engine/cuda/dense.h"
#include "engine/layers.h"

namespace rerank::cuda {

template <class T>
class CudaOps {
 public:
  CudaOps(const ModelSpec& spec, cudaStream_t stream)
      : model_(spec, stream), stream_(stream), dense_(model_, gemm_, stream) {}

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
    a_.reserve_spare(model_.shape, rows_);
    a_.states.gather(model_.shape, input_.rows(), rows_, a_.spare, stream_);
    std::swap(a_.states, a_.spare);
    packed_ = !packed_;
  }

  Batch batch() const { return input_.batch(); }

  void embed(const Batch&) { dense_.embed({input_.ids(), input_.kinds(), input_.places(), rows_}, a_); }

  void project(size_t layer, const Batch&, Rows rows) {
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const float* turns = model_.layers[layer].turns;
    const uint32_t h = model_.shape.hidden, sequences = input_.counts().sequences;
    layer_ = layer;
    if (rows == Rows::kAll) {
      dense_.linear(w, 0, 3 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
      if (turns != nullptr) turn_heads(3, 2, turns);
      return;
    }
    // Keys and values of every row; queries of the first rows only.
    dense_.linear(w, h, 2 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
    if (turns != nullptr) turn_heads(2, 1, turns);  // first rows stand at position 0, which turns nothing
    a_.states.gather(model_.shape, input_.firsts(), sequences, a_.first, stream_);
    dense_.linear(w, 0, h, a_.first, sequences, a_.first_queries.data(), a_.scratch);
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
    std::swap(a_.states, a_.first);  // project() has gathered the first rows there
    rows_ = input_.counts().sequences;
    swapped_ = true;
  }

  void attention_output(size_t layer) { dense_.attention_output(model_.layers[layer], a_, rows_); }

  void feed_forward(size_t layer) { dense_.feed_forward(model_.layers[layer], a_, rows_); }

  void head() {
    const ModelSpec& m = model_.shape;
    const DeviceLinear<float>& w = model_.head_dense;
    gemm_.run(a_.states.exact.data(), w.weight.data(), w.bias.data(), a_.dense.data(), padded_rows(rows_), w.out, w.in,
              Epilogue::kBias, stream_);
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
    pool(a_.states.exact.data(), places(), input_.queries(), a_.pooled.data(), sequences, model_.shape.hidden, stream_);
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
    if (std::exchange(swapped_, false)) std::swap(a_.states, a_.first);
    if (std::exchange(packed_, false)) std::swap(a_.states, a_.spare);
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

  DeviceModel<T> model_;
  cudaStream_t stream_;
  Gemm gemm_;
  Dense<T> dense_;
  BatchInput input_;
  PinnedBuffer results_;
  Activations<T> a_;
  uint32_t rows_ = 0;                      // of states and context that are in use
  size_t layer_ = 0;                       // that project() began
  bool swapped_ = false, packed_ = false;  // states and their first rows; states and those of fewer sequences
};

}  // namespace rerank::cuda
