// The verbs of engine/encoder.h on one device. The residual stream is fp32; what products read is the engine's type T
// beside it. All batches are computed on one stream, one behind another; only their copies have others (slot.h).
#pragma once

#include <span>
#include <utility>

#include "engine/cuda/activations.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/slot.h"
#include "engine/layers.h"

namespace rerank::cuda {

template <class T>
class CudaOps {
 public:
  CudaOps(const ModelSpec& spec, cudaStream_t stream)
      : model_(spec, stream), stream_(stream), dense_(model_, gemm_, stream) {}

  // Before the verbs: the batch to the device, into a slot that no other batch has, and room for its activations.
  void load(uint32_t slot, const BatchSpec& spec) {
    restore();
    slot_ = &slots_[slot];
    slot_->load(spec, stream_);
    rows_ = input().counts().tokens;
    a_.reserve(model_.shape, rows_, input().counts().sequences, stream_);
  }

  // Behind load(), and again: the launches of the verbs are for the batch alone, or the same for all batches of its
  // class.
  void fill_up(bool on) {
    restore();
    input().fill_up(on);
    rows_ = input().counts().tokens;
  }
  const BatchInput::Counts& full() const { return input().full(); }
  // Of all that such launches are given, besides the model.
  std::vector<const void*> addresses() {
    std::vector<const void*> all{input().data(), slot_->logits()};
    a_.add_addresses(model_.shape, all);
    return all;
  }

  // Between layers: only these sequences stay, their rows moved together.
  void keep_sequences(std::span<const uint32_t> sequences) {
    input().keep(sequences, stream_);
    rows_ = input().counts().tokens;
    a_.reserve_spare(model_.shape, rows_);
    a_.states.gather(model_.shape, input().rows(), rows_, a_.spare, stream_);
    std::swap(a_.states, a_.spare);
    packed_ = !packed_;
  }

  Batch batch() const { return input().batch(); }

  void embed(const Batch&) { dense_.embed({input().ids(), input().kinds(), input().places(), rows_}, a_); }

  void project(size_t layer, const Batch&, Rows rows) {
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const float* turns = model_.layers[layer].turns;
    const uint32_t h = model_.shape.hidden, sequences = input().counts().sequences;
    layer_ = layer;
    if (rows == Rows::kAll) {
      dense_.linear(w, 0, 3 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
      if (turns != nullptr) turn_heads(3, 2, turns);
      return;
    }
    // Keys and values of every row; queries of the first rows only.
    dense_.linear(w, h, 2 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
    if (turns != nullptr) turn_heads(2, 1, turns);  // first rows stand at position 0, which turns nothing
    a_.states.gather(model_.shape, input().firsts(), sequences, a_.first, stream_);
    dense_.linear(w, 0, h, a_.first, sequences, a_.first_queries.data(), a_.scratch);
  }

  void attend(const Batch&, Rows rows) {
    const ModelSpec& m = model_.shape;
    const AttentionShape shape{m.heads, m.hidden / m.heads, m.hidden, model_.layers[layer_].window,
                               model_.layers[layer_].slopes.data()};
    if (rows == Rows::kAll)
      return attend_all(a_.qkv.data(), a_.context.data(), input().tiles(), input().counts().tiles, shape, stream_);
    attend_first(a_.first_queries.data(), a_.qkv.data(), a_.context.data(), places(), input().counts().sequences, shape,
                 stream_);
  }

  void keep(const Batch&, Rows rows) {
    if (rows == Rows::kAll) return;
    std::swap(a_.states, a_.first);  // project() has gathered the first rows there
    rows_ = input().counts().sequences;
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
                slot_->logits(), rows_, m.hidden, m.labels, stream_);
    restore();
  }

  // Behind head(). What of the batch is left to do is receive_logits(), which may be called beside everything that is
  // done for another one.
  void send_logits() { slot_->send_back(stream_); }
  void receive_logits(uint32_t slot, float* logits) { slots_[slot].receive(logits); }

  // What exits read, of all rows.
  void pool_states(float* out) {
    const uint32_t sequences = input().counts().sequences;
    const size_t count = size_t{sequences} * 3 * model_.shape.hidden;
    a_.reserve_pooled(model_.shape, sequences);
    pool(a_.states.exact.data(), places(), input().queries(), a_.pooled.data(), sequences, model_.shape.hidden,
         stream_);
    slot_->receive_now(a_.pooled.data(), {out, count}, stream_);
  }

  // Behind a failure: nothing is under way when it returns.
  void drain() {
    (void)cudaStreamSynchronize(stream_);
    for (Slot& slot : slots_) slot.drain();
  }
  void drain(uint32_t slot) { slots_[slot].drain(); }
  void release() { a_.release(); }
  Tuning& tuning() { return gemm_.tuning(); }

  // On the device, were the largest batches so far of that size.
  size_t batch_bytes(uint32_t tokens, uint32_t sequences) const {
    return kSlots * Slot::device_bytes(tokens, sequences) + Activations<T>::bytes(model_.shape, tokens, sequences);
  }

 private:
  // Back to the buffers of whole batches, also after a batch that failed half-way.
  void restore() {
    if (std::exchange(swapped_, false)) std::swap(a_.states, a_.first);
    if (std::exchange(packed_, false)) std::swap(a_.states, a_.spare);
  }

  SequenceRows places() const { return {input().firsts(), input().lengths()}; }

  // RoPE of the first `turned` of `parts` that lie side by side in qkv.
  void turn_heads(uint32_t parts, uint32_t turned, const float* turns) {
    const ModelSpec& m = model_.shape;
    turn(a_.qkv.data(), size_t{parts} * m.hidden, turned * m.heads, m.hidden / m.heads, turns, input().tiles(),
         input().counts().tiles, stream_);
  }

  BatchInput& input() { return slot_->input; }
  const BatchInput& input() const { return slot_->input; }

  DeviceModel<T> model_;
  cudaStream_t stream_;
  Gemm gemm_;
  Dense<T> dense_;
  Slot slots_[kSlots];
  Slot* slot_ = slots_;  // of the batch whose work is being started
  Activations<T> a_;
  uint32_t rows_ = 0;                      // of states and context that are in use
  size_t layer_ = 0;                       // that project() began
  bool swapped_ = false, packed_ = false;  // states and their first rows; states and those of fewer sequences
};

}  // namespace rerank::cuda
