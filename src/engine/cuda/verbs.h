// The verbs of engine/encoder.h on one device. The residual stream is fp32; what products read is the engine's type T
// beside it. All batches are computed on one stream, one after another; only their copies have others (slot.h).
#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "engine/cuda/activations.h"
#include "engine/cuda/attention/check.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/kernels/encoders.h"
#include "engine/cuda/slot.h"
#include "engine/layers.h"

namespace rerank::engine::cuda {

template <class T>
class CudaOps {
 public:
  CudaOps(const ModelSpec& spec, cudaStream_t stream)
      : model_(spec, stream), stream_(stream), dense_(model_, gemm_, stream) {
    gemm_.fast_accumulation(model_.shape.fast_accumulation != 0);
  }

  // Before the verbs: the batch to the device, into a slot that no other batch has, and room for its activations.
  void load(uint32_t slot, const BatchSpec& spec) {
    restore();
    check_slots(spec);
    check_marks(spec);
    slot_ = &slots_[slot];
    slot_->load(spec, model_.shape.scored == Scored::kLast, model_.head_output.out, stream_);
    normed_ = false;
    rows_ = input().counts().tokens;
    a_.reserve(model_.shape, input().counts(), input().prefix_rows(), stream_);
  }

  // After load(), and again: the launches of the verbs are for the batch alone, or the same for all batches of its
  // class.
  void fill_up(bool on) {
    restore();
    input().fill_up(on);
    rows_ = input().counts().tokens;
  }
  const BatchInput::Counts& full() const { return input().full(); }
  uint32_t tile_queries() const { return input().tile_queries(); }
  bool shares() const { return input().shares(); }
  // Of all that such launches are given, besides the model.
  std::vector<const void*> addresses() {
    std::vector<const void*> all{input().data(), slot_->logits()};
    a_.add_addresses(model_.shape, all);
    return all;
  }

  // Between layers: only these sequences stay, their rows moved together.
  void keep_sequences(std::span<const uint32_t> sequences) {
    if (makes_vectors()) throw Failure{Code::kFailed, "of a batch with marked tokens no sequence leaves"};
    input().keep(sequences, stream_);
    rows_ = input().counts().tokens;
    a_.reserve_spare(model_.shape, rows_);
    a_.states.gather(model_.shape, input().rows(), rows_, a_.spare, stream_);
    std::swap(a_.states, a_.spare);
    if (convolves()) {
      gather_rows(a_.embedded.data(), input().rows(), a_.spare_embedded.data(), rows_, model_.shape.hidden, stream_);
      std::swap(a_.embedded, a_.spare_embedded);
    }
    packed_ = !packed_;
  }

  // plugin.h
  std::string use_wgmma(bool on) {
    const std::string reason = on ? why_no_group_products<Value<T>>(model_.shape.head_size, stream_) : "turned off";
    group_products_ = reason.empty();
    const bool long_tiles = group_products_ && !has_patterns();
    for (Slot& slot : slots_) slot.input.set_long_tiles(long_tiles ? model_.shape.heads : 0, processors());
    return group_products_ ? "wgmma" : "mma.sync: " + reason;
  }

  // plugin.h
  uint32_t keep_prefixes(uint64_t bytes) {
    const size_t token = model_.layers.size() * 2 * key_width(model_.shape);
    kept_slots_ = static_cast<uint32_t>(std::min<uint64_t>(bytes / (token * sizeof(Value<T>)), kOwnRow - 1));
    kept_.resize(kept_slots_ * token);
    return kept_slots_;
  }

  Batch batch() const { return input().batch(); }

  void embed(const Batch&) {
    dense_.embed({input().ids(), input().kinds(), input().places(), rows_}, a_);
    if (convolves()) convert(a_.states.exact.data(), a_.embedded.data(), size_t{rows_} * model_.shape.hidden, stream_);
  }

  BlockOrder order(size_t layer) const {
    const DeviceLayer<T>& w = model_.layers[layer];
    return {w.pre_norm, w.attention_norm.gamma.data() != nullptr, layer == 0 && convolves()};
  }

  // Where the last product's sum went through this norm already, it is not computed again.
  void norm_attention(size_t layer) {
    if (!std::exchange(normed_, false)) dense_.norm_input(model_.layers[layer].attention_norm, a_.states, rows_);
  }

  void project(size_t layer, const Batch&, Rows rows) {
    const Shape& m = model_.shape;
    const DeviceLinear<T>& w = model_.layers[layer].query_key_value;
    const uint32_t q = query_width(m), kv = 2 * key_width(m), sequences = input().counts().sequences;
    layer_ = layer;
    if (m.global_first) {
      project_globally(layer);
      if (rows == Rows::kScored) return;  // the scored row is the first
    }
    if (rows == Rows::kAll) {
      dense_.linear(w, 0, q + kv, a_.states, rows_, a_.qkv.data(), a_.scratch);
      rotate_heads(a_.qkv.data(), q + kv, {m.heads, m.heads + m.kv_heads}, input().places(), rows_);
      return move_keys(q, q + kv);
    }
    // Keys and values of every row; queries of the scored rows only.
    dense_.linear(w, q, kv, a_.states, rows_, a_.qkv.data(), a_.scratch);
    rotate_heads(a_.qkv.data(), kv, {0, m.kv_heads}, input().places(), rows_);
    move_keys(0, kv);
    a_.states.gather(m, input().scored_rows(), sequences, a_.scored, stream_);
    dense_.linear(w, 0, q, a_.scored, sequences, a_.scored_queries.data(), a_.scratch);
    rotate_heads(a_.scored_queries.data(), q, {m.heads, m.heads}, input().scored_positions(), sequences);
  }

  void attend(const Batch&, Rows rows) {
    const Shape& m = model_.shape;
    const DeviceLayer<T>& w = model_.layers[layer_];
    const uint32_t q = query_width(m), k = key_width(m);
    AttentionShape shape{m.heads,
                         m.kv_heads,
                         m.head_size,
                         q + 2 * k,
                         q + 2 * k,
                         w.pattern.window,
                         w.pattern.causal != 0,
                         m.global_first != 0,
                         w.slopes.data(),
                         w.pattern.scale,
                         w.pattern.softcap,
                         {w.position_keys.data(), w.position_queries.data(), w.distance_bias.data(), w.reach},
                         group_products_,
                         input().tile_queries()};
    const Value<T>* qkv = a_.qkv.data();
    if (m.global_first) return attend_globally(rows, shape);
    if (rows == Rows::kAll)
      return attend_all<Value<T>>({qkv, qkv + q, qkv + q + k, a_.context.data()}, input().tiles(),
                                  input().counts().tiles, shape, stream_);
    shape.query_stride = q;
    shape.key_stride = 2 * k;
    attend_scored<Value<T>>({a_.scored_queries.data(), qkv, qkv + k, a_.context.data()},
                            {input().runs(), input().scored_positions()}, input().counts().sequences, shape, stream_);
  }

  void select_rows(const Batch&, Rows rows) {
    if (rows == Rows::kAll) return;
    std::swap(a_.states, a_.scored);  // project() has gathered them
    rows_ = input().counts().sequences;
    swapped_ = true;
  }

  void add_attention(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    dense_.add_attention(w, &w.output_norm, a_, rows_);
    normed_ = w.pre_norm;
  }

  void norm_feed_forward(size_t layer) {
    if (!std::exchange(normed_, false)) dense_.norm_input(model_.layers[layer].output_norm, a_.states, rows_);
  }

  void add_feed_forward(size_t layer) {
    const DeviceLayer<T>& w = model_.layers[layer];
    const bool last = layer + 1 == model_.layers.size();
    const DeviceNorm* next = last || !w.pre_norm ? nullptr : &model_.layers[layer + 1].attention_norm;
    dense_.add_feed_forward(w, next, a_, rows_);
    normed_ = next != nullptr && next->there();
  }

  void add_convolution(const Batch&, Rows rows) {
    const Shape& m = model_.shape;
    const DeviceLinear<Value<T>>& w = model_.convolution;
    const uint32_t* which = rows == Rows::kScored ? input().scored_rows() : nullptr;
    gather_around<Value<T>>({a_.embedded.data(), input().places(), which, a_.around.data(), input().counts().tokens,
                             m.hidden, m.convolution_width},
                            rows_, stream_);
    gemm_.run(a_.around.data(), w.weight.data(), w.bias.data(), a_.convolved.data(), padded_rows(rows_), w.out, w.in,
              Epilogue::kBias, stream_);
    activate(m.convolution_activation, a_.convolved.data(), size_t{rows_} * m.hidden, stream_);
    dense_.add_and_norm(a_.convolved.data(), model_.convolution_norm, a_, rows_);
  }

  // Of a pass that ends after so many layers: the final norm, where there is one, and the head, which reads the stream
  // in fp32.
  void score(size_t layers) {
    float* exact = dense_.exact_states(a_.states, rows_);
    if (makes_vectors()) {
      make_vectors(exact);
    } else {
      norm_final(exact, rows_);
      make_logits(exact, layers);
    }
    normed_ = false;
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
    pool(dense_.exact_states(a_.states, rows_), places(), input().scored_rows(), input().queries(), a_.pooled.data(),
         sequences, model_.shape.hidden, stream_);
    slot_->receive_now(a_.pooled.data(), {out, count}, stream_);
  }

  // After a failure: nothing is under way when it returns.
  void drain() {
    (void)cudaStreamSynchronize(stream_);
    for (Slot& slot : slots_) slot.drain();
  }
  void drain(uint32_t slot) { slots_[slot].drain(); }
  void release() { a_.release(); }
  Tuning& tuning() { return gemm_.tuning(); }

  // On the device, were the largest batches so far of that size.
  size_t batch_bytes(uint32_t tokens, uint32_t sequences) const {
    const uint32_t marked = makes_vectors() ? sequences : 0;  // as many as there might be documents
    return kSlots * Slot::device_bytes(tokens, sequences, marked, model_.head_output.out) +
           Activations<T>::bytes(model_.shape, {.tokens = tokens, .sequences = sequences, .marked = marked});
  }

 private:
  bool makes_vectors() const { return model_.shape.scored == Scored::kMarked; }

  void norm_final(float* exact, uint32_t rows) {
    if (!model_.final_norm.there()) return;
    residual<float>({.exact = exact, .rounded = exact, .norm = model_.norm(model_.final_norm)}, rows,
                    model_.shape.hidden, stream_);
  }

  // The head, of the marked tokens' rows of the stream.
  void make_vectors(const float* exact) {
    const Shape& m = model_.shape;
    const uint32_t marked = input().counts().marked, padded = padded_rows(marked);
    gather_rows(exact, input().marked_rows(), a_.marked.data(), marked, m.hidden, stream_);
    norm_final(a_.marked.data(), marked);
    const float* rows = a_.marked.data();
    const auto multiply = [&](const DeviceLinear<float>& w, float* to) {
      gemm_.run(rows, w.weight.data(), w.bias.data(), to, padded, w.out, w.in, Epilogue::kBias, stream_);
    };
    if (const DeviceLinear<float>& dense = model_.head_dense; dense.out > 0) {
      multiply(dense, a_.dense.data());
      activate(m.head_activation, a_.dense.data(), size_t{padded} * dense.out, stream_);
      rows = a_.dense.data();
    }
    multiply(model_.head_output, slot_->logits());
  }

  // The head, of rows that went through the final norm.
  void make_logits(float* exact, size_t layers) {
    const Shape& m = model_.shape;
    const uint32_t sequences = input().counts().sequences;
    float* rows = exact;
    if (m.scored == Scored::kMean) {
      mean_rows(rows, places(), a_.scored.exact.data(), sequences, m.hidden, stream_);
      rows = a_.scored.exact.data();
    }
    const bool mean_of_logits = m.scored == Scored::kMeanOfLogits;
    const uint32_t scored = mean_of_logits ? rows_ : sequences;
    const DeviceLinear<float>& w = model_.head_dense;
    const bool dense = w.out > 0;
    if (dense)
      gemm_.run(rows, w.weight.data(), w.bias.data(), a_.dense.data(), padded_rows(scored), w.out, w.in,
                Epilogue::kBias, stream_);
    const DeviceLinear<float>& output = model_.output(layers);
    NormArgs norm = model_.norm(model_.head_norm);
    norm.epsilon = m.head_epsilon;
    head_logits({.rows = dense ? a_.dense.data() : rows,
                 .activated = dense,
                 .act = m.head_activation,
                 .norm = norm,
                 .weight = output.weight.data(),
                 .bias = output.bias.data(),
                 .softcap = m.head_softcap,
                 .logits = mean_of_logits ? a_.logits.data() : slot_->logits(),
                 .width = m.hidden,
                 .labels = m.labels},
                scored, stream_);
    if (mean_of_logits) mean_rows(a_.logits.data(), places(), slot_->logits(), sequences, 1, stream_);
  }

  // Back to the buffers of whole batches, also after a batch that failed half-way.
  void restore() {
    if (std::exchange(swapped_, false)) std::swap(a_.states, a_.scored);
    if (!std::exchange(packed_, false)) return;
    std::swap(a_.states, a_.spare);
    std::swap(a_.embedded, a_.spare_embedded);
  }

  // Of prefixes that are put together, and of what is kept for later batches. Keys begin at that column of a row.
  void move_keys(uint32_t column, uint32_t stride) {
    if (input().move_count() == 0) return;
    const uint32_t width = 2 * key_width(model_.shape);
    Value<T>* kept = kept_.data() + layer_ * kept_slots_ * width;
    cuda::move_keys<Value<T>>({a_.qkv.data() + column, stride, kept, width}, input().moves(), input().move_count(),
                              stream_);
  }
  void check_slots(const BatchSpec& spec) const {
    const auto there = [&](uint32_t slot) { return slot < kept_slots_; };
    const bool all = std::all_of(spec.prefix_rows, spec.prefix_rows + spec.prefix_row_count,
                                 [&](uint32_t row) { return (row & kOwnRow) != 0 || there(row); }) &&
                     std::all_of(spec.keep_slots, spec.keep_slots + spec.keep_count, there);
    if (!all) throw Failure{Code::kFailed, "a batch names slots that keep_prefixes() did not give"};
  }
  void check_marks(const BatchSpec& spec) const {
    const uint32_t tokens = spec.offsets[spec.shared + spec.sequences];
    const bool all =
        std::all_of(spec.marked_rows, spec.marked_rows + spec.marked_count, [&](uint32_t row) { return row < tokens; });
    if (!all || makes_vectors() != (spec.marked_count > 0) || (makes_vectors() && spec.shared > 0))
      throw Failure{Code::kFailed, "a batch's marked tokens are not those that its model makes vectors of"};
  }

  SequenceRows places() const { return {input().firsts(), input().lengths()}; }

  bool convolves() const { return model_.convolution.out > 0; }

  // Keys and values of every row, queries of each sequence's first, which is the one that is scored.
  void project_globally(size_t layer) {
    const Shape& m = model_.shape;
    const DeviceLayer<T>& w = model_.layers[layer];
    const uint32_t sequences = input().counts().sequences;
    dense_.linear(w.global_key_value, 0, w.global_key_value.out, a_.states, rows_, a_.global_key_value.data(),
                  a_.scratch);
    a_.states.gather(m, input().firsts(), sequences, a_.scored, stream_);
    dense_.linear(w.global_query, 0, w.global_query.out, a_.scored, sequences, a_.global_queries.data(), a_.scratch);
  }

  void attend_globally(Rows rows, AttentionShape shape) {
    const uint32_t q = query_width(model_.shape), k = key_width(model_.shape), sequences = input().counts().sequences;
    if (rows == Rows::kAll) {
      const Value<T>* qkv = a_.qkv.data();
      attend_all<Value<T>>({qkv, qkv + q, qkv + q + k, a_.context.data()}, input().tiles(), input().counts().tiles,
                           shape, stream_);
    }
    shape.global_first = false;  // these see all keys
    shape.window = 0;
    shape.query_stride = q;
    shape.key_stride = 2 * k;
    Value<T>* context = rows == Rows::kAll ? a_.global_context.data() : a_.context.data();
    const Value<T>* keys = a_.global_key_value.data();
    attend_scored<Value<T>>({a_.global_queries.data(), keys, keys + k, context},
                            {input().runs(), input().scored_positions()}, sequences, shape, stream_);
    if (rows == Rows::kAll) put_first_rows(context, input().firsts(), a_.context.data(), sequences, q, stream_);
  }

  struct Heads {
    uint32_t queries, all;
  };
  // Norms and RoPE of the layer's heads that begin a row: those of queries, then of keys.
  void rotate_heads(Value<T>* x, uint32_t stride, const Heads& heads, const uint32_t* positions, uint32_t rows) {
    const Shape& m = model_.shape;
    const DeviceLayer<T>& w = model_.layers[layer_];
    rotate<Value<T>>(x,
                     {stride, heads.queries, heads.all, m.head_size, w.query_norm.gamma.data(), w.key_norm.gamma.data(),
                      m.epsilon, w.angles, positions},
                     rows, stream_);
  }

  // Their kernels take tiles of 64 queries: they need more registers, and are bound by instructions.
  bool has_patterns() const {
    return std::any_of(model_.layers.begin(), model_.layers.end(), [](const DeviceLayer<T>& layer) {
      return layer.pattern.window != 0 || layer.pattern.softcap != 0 || layer.slopes.data() != nullptr ||
             layer.distance_bias.data() != nullptr || layer.position_keys.data() != nullptr ||
             layer.position_queries.data() != nullptr;
    });
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
  DeviceBuffer<Value<T>> kept_;  // [layers][kept_slots_][keys and values]: of prefixes, for later batches
  uint32_t kept_slots_ = 0;
  uint32_t rows_ = 0;                      // of states and context that are in use
  size_t layer_ = 0;                       // that project() began
  bool group_products_ = false;            // attention by wgmma
  bool normed_ = false;                    // the states' rounded rows went through the next norm already
  bool swapped_ = false, packed_ = false;  // states and their scored rows; states and those of fewer sequences
};

}  // namespace rerank::engine::cuda
