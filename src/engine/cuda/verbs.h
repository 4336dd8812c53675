// The verbs of engine/encoder.h on one device. The residual stream is fp32; what products read is the engine's type T
// beside it. All batches are computed on one stream, one behind another; only their copies have others (slot.h).
#pragma once

#include <span>
#include <utility>

#include "engine/cuda/activations.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/slot.h"
#include "engine/layers.h"

namespace rerank::engine::cuda {

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

  BlockOrder order(size_t layer) const {
    const DeviceLayer<T>& w = model_.layers[layer];
    return {w.pre_norm, w.attention_norm.gamma.data() != nullptr};
  }

  void norm_attention(size_t layer) { dense_.norm_input(model_.layers[layer].attention_norm, a_.states, rows_); }

  void project(size_t layer, const Batch&, Rows rows) {
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const float* angles = model_.layers[layer].angles;
    const uint32_t h = model_.shape.hidden, sequences = input().counts().sequences;
    layer_ = layer;
    if (rows == Rows::kAll) {
      dense_.linear(w, 0, 3 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
      if (angles != nullptr) apply_rope(3, 2, angles);
      return;
    }
    // Keys and values of every row; queries of the scored rows only.
    dense_.linear(w, h, 2 * h, a_.states, rows_, a_.qkv.data(), a_.scratch);
    if (angles != nullptr) apply_rope(2, 1, angles);  // scored rows are at position 0, where the angle is 0
    a_.states.gather(model_.shape, input().firsts(), sequences, a_.scored, stream_);
    dense_.linear(w, 0, h, a_.scored, sequences, a_.scored_queries.data(), a_.scratch);
  }

  void attend(const Batch&, Rows rows) {
    const ModelSpec& m = model_.shape;
    const DeviceLayer<T>& w = model_.layers[layer_];
    const AttentionShape shape{m.heads,
                               m.hidden / m.heads,
                               m.hidden,
                               w.window,
                               w.slopes.data(),
                               w.scale,
                               {w.position_keys.data(), w.position_queries.data(), w.distance_bias.data(), w.reach}};
    if (rows == Rows::kAll)
      return attend_all(a_.qkv.data(), a_.context.data(), input().tiles(), input().counts().tiles, shape, stream_);
    attend_first(a_.scored_queries.data(), a_.qkv.data(), a_.context.data(), places(), input().counts().sequences,
                 shape, stream_);
  }

  void select_rows(const Batch&, Rows rows) {
    if (rows == Rows::kAll) return;
    std::swap(a_.states, a_.scored);  // project() has gathered them
    rows_ = input().counts().sequences;
    swapped_ = true;
  }

  void add_attention(size_t layer) { dense_.add_attention(model_.layers[layer], a_, rows_); }

  void norm_feed_forward(size_t layer) { dense_.norm_input(model_.layers[layer].output_norm, a_.states, rows_); }

  void add_feed_forward(size_t layer) { dense_.add_feed_forward(model_.layers[layer], a_, rows_); }

  // The final norm, where there is one, and the head, which reads the stream in fp32.
  void score() {
    const ModelSpec& m = model_.shape;
    const DeviceNorm& final = model_.final_norm;
    if (final.gamma.data() != nullptr) {
      float* exact = a_.states.exact.data();
      norm_to(exact, exact, final.gamma.data(), final.beta.data(), m.epsilon, rows_, m.hidden, stream_);
    }
    const uint32_t sequences = input().counts().sequences;
    const float* rows = a_.states.exact.data();
    if (m.scored == Scored::kMean) {
      mean_rows(rows, places(), a_.scored.exact.data(), sequences, m.hidden, stream_);
      rows = a_.scored.exact.data();
    }
    const DeviceLinear<float>& w = model_.head_dense;
    gemm_.run(rows, w.weight.data(), w.bias.data(), a_.dense.data(), padded_rows(sequences), w.out, w.in,
              Epilogue::kBias, stream_);
    const DeviceNorm& norm = model_.head_norm;
    head_logits({.dense = a_.dense.data(),
                 .act = m.head_activation,
                 .gamma = norm.gamma.data(),
                 .beta = norm.beta.data(),
                 .epsilon = m.head_epsilon,
                 .weight = model_.head_output.weight.data(),
                 .bias = model_.head_output.bias.data(),
                 .logits = slot_->logits(),
                 .width = m.hidden,
                 .labels = m.labels},
                sequences, stream_);
    restore();
  }

  // After score(). What of the batch is left to do is receive_logits(), which may be called beside everything that is
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
    if (std::exchange(swapped_, false)) std::swap(a_.states, a_.scored);
    if (std::exchange(packed_, false)) std::swap(a_.states, a_.spare);
  }

  SequenceRows places() const { return {input().firsts(), input().lengths()}; }

  // RoPE of the first `rotated` of `parts` that lie side by side in qkv.
  void apply_rope(uint32_t parts, uint32_t rotated, const float* angles) {
    const ModelSpec& m = model_.shape;
    rotate(a_.qkv.data(), size_t{parts} * m.hidden, rotated * m.heads, m.hidden / m.heads, angles, input().tiles(),
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
  bool swapped_ = false, packed_ = false;  // states and their scored rows; states and those of fewer sequences
};

}  // namespace rerank::engine::cuda
