// The forward pass of a reranker, written once over the verbs of a device. model/architecture.h has its formulas. A
// batch that is stopped ends between two blocks; its results mean nothing then.
//
// `Ops` holds the weights in the device's own form and the activations of one batch:
//   stream [tokens, hidden]   the residual stream
//   input [tokens, hidden]    what products read: norm(stream) in a pre-norm block, else the stream itself
//   context [tokens, ...]     the result of attention
// and offers
//   order(layer)              placement of the block's norms
//   embed(batch)              stream = norm(words[id] + positions[offset + i] + segments[s]), projected where the
//   tables
//                             are narrower than the encoder; each part as far as the architecture has it
//   norm_attention(layer)     input = norm(stream)
//   project(layer, batch, rows)   queries (of `rows`), keys and values (of all rows) = input W^T + b
//   attend(batch, rows)       context = softmax(scores) v, within each sequence and head
//   select_rows(batch, rows)  stream and input = their `rows`
//   add_attention(layer)      stream += context W^T + b; post-norm: then stream = norm(stream)
//   norm_feed_forward(layer)  input = norm(stream)
//   add_feed_forward(layer)   stream += feed_forward(input); post-norm: then stream = norm(stream)
//   add_convolution(batch, rows)  stream = norm(stream + activation(convolution of what embed() gave)), of `rows`; only
//                             where order() asks for it
//   compute_in_chunks(layer, batch, rows)  the whole block, some rows at a time; false: the other verbs are to do it
//   keys_in_chunks(layer, batch)  its norm and projections, as far as keys and values, in the same way
//   choose_output(layers)     score() reads the output after that many blocks; only where devices have several
//   norm_final()              stream = norm(stream), where the architecture has a final norm
//   score(batch, logits)      the head, of the rows that scoring names
//   save_state(batch, out)    out [tokens, hidden] = stream
//   load_state(batch, in)     stream = in, as save_state() has left it: what follows is the same, bit for bit
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/depth/pooling.h"
#include "engine/layers.h"
#include "model/config.h"
#include "model/exits.h"

namespace rerank::engine {

// How far to go: `layers` of all there are (0: all), and what reads the logit there (null: the model's own head).
struct Depth {
  size_t layers = 0;
  const model::ExitHead* exit = nullptr;
};

// The depth that a batch asks for its sequence `i`.
inline Depth depth_of(const model::Architecture& a, const Batch& batch, size_t i, const model::Exits* exits) {
  const size_t layers = batch.layers.empty() || batch.layers[i] == 0 ? a.layers() : batch.layers[i];
  const bool own = a.scoring.first_output != 0 && layers >= a.scoring.first_output;  // a head of the model's there
  const bool exit = exits != nullptr && layers < a.layers() && !own;
  return {layers, exit ? &exits->heads[layers - 1] : nullptr};
}

// The row of the batch that the head reads of sequence `s`, where it reads one.
inline size_t scored_row(const model::Architecture& a, const Batch& batch, size_t s) {
  return a.scoring.rows == model::ScoredRows::kLast ? batch.offsets[s + 1] - 1 : batch.offsets[s];
}

// Rows of the batch whose tokens scoring.marks names, in order.
std::vector<uint32_t> marked_rows(const model::Architecture& architecture, const Batch& batch);

// Floats that forward() computes: a logit for each sequence, or the vectors of the marked tokens.
size_t result_count(const model::Architecture& architecture, const Batch& batch);

// The rows that the last block of a pass computes.
inline Rows last_rows(const model::Architecture& a) {
  return a.scoring.rows == model::ScoredRows::kFirst || a.scoring.rows == model::ScoredRows::kLast ? Rows::kScored
                                                                                                   : Rows::kAll;
}

// After `layers` blocks, some of which may have outputs of their own (choose_output()).
template <class Ops>
void score_stream(const model::Architecture& a, const Batch& batch, Ops& ops, size_t layers, std::span<float> logits) {
  if constexpr (requires { ops.choose_output(layers); }) ops.choose_output(layers);
  if (a.final_norm) ops.norm_final();
  ops.score(batch, logits);
}

// Blocks [first, layers), the last of them for the rows that the head reads.
template <class Ops>
void run_blocks(const model::Architecture& a, const Batch& batch, Ops& ops, size_t first, size_t layers) {
  for (size_t layer = first; layer < layers && !batch.stopped(); ++layer) {
    if (layer != first) batch.interrupt();
    compute_block(batch, ops, layer, layer + 1 == layers ? last_rows(a) : Rows::kAll);
  }
}

// pooled [sequences, exit_width()] of the state after a block, whose rows go through `rows` [tokens, hidden].
template <class Ops>
void pool(const model::Architecture& a, const Batch& batch, Ops& ops, std::span<float> rows, std::span<float> pooled) {
  ops.save_state(batch, rows);
  pool_states(batch, a.hidden, a.scoring.rows == model::ScoredRows::kLast, rows, pooled);
}

// Blocks [0, layers) as far as their keys and values: of tokens that others stand after.
template <class Ops>
void encode_keys(const Batch& batch, Ops& ops, size_t layers) {
  ops.embed(batch);
  for (size_t layer = 0; layer + 1 < layers && !batch.stopped(); ++layer) {
    compute_block(batch, ops, layer, Rows::kAll);
    batch.interrupt();
  }
  if constexpr (requires { ops.keys_in_chunks(layers - 1, batch); }) {
    if (ops.keys_in_chunks(layers - 1, batch)) return;
  }
  const BlockOrder order = ops.order(layers - 1);
  if (order.pre_norm && order.attention_norm) ops.norm_attention(layers - 1);
  ops.project(layers - 1, batch, Rows::kAll);
}

template <class Ops>
void encode_to(const model::Architecture& a, const Batch& batch, Ops& ops, const Depth& depth,
               std::span<float> logits) {
  const size_t layers = depth.layers == 0 ? a.layers() : depth.layers;
  ops.embed(batch);
  if (depth.exit == nullptr) {
    run_blocks(a, batch, ops, 0, layers);
    return batch.stopped() ? void() : score_stream(a, batch, ops, layers, logits);
  }
  for (size_t layer = 0; layer < layers; ++layer) compute_block(batch, ops, layer, Rows::kAll);
  const size_t width = model::exit_width(a);
  std::vector<float> rows(batch.tokens() * a.hidden), pooled(batch.size() * width);
  pool(a, batch, ops, rows, pooled);
  for (size_t s = 0; s < batch.size(); ++s) logits[s] = depth.exit->apply(&pooled[s * width]);
}

// A way to stop in between: blocks [first, last) of all rows. `stream` [tokens, hidden] is read, where first is not 0,
// and replaced.
template <class Ops>
void encode_blocks(const Batch& batch, Ops& ops, size_t first, size_t last, std::span<float> stream) {
  first == 0 ? ops.embed(batch) : ops.load_state(batch, stream);
  for (size_t layer = first; layer < last; ++layer) compute_block(batch, ops, layer, Rows::kAll);
  ops.save_state(batch, stream);
}

// ... what the output after `layers` blocks makes of their state, where the head reads one row of each sequence ...
template <class Ops>
void read_output(const model::Architecture& a, const Batch& batch, Ops& ops, size_t layers,
                 std::span<const float> stream, std::span<float> logits) {
  OwnedBatch scored;  // of one token each
  std::vector<float> rows(batch.size() * a.hidden);
  for (size_t s = 0; s < batch.size(); ++s) {
    const size_t row = scored_row(a, batch, s);
    scored.add(batch.ids.subspan(row, 1), batch.segments.subspan(row, 1));
    std::copy_n(&stream[row * a.hidden], a.hidden, &rows[s * a.hidden]);
  }
  ops.load_state(scored, rows);
  score_stream(a, scored, ops, layers, logits);
}

// ... and from there to the end: blocks [first, layers), and the head.
template <class Ops>
void encode_rest(const model::Architecture& a, const Batch& batch, Ops& ops, size_t first, size_t layers,
                 std::span<const float> stream, std::span<float> logits) {
  ops.load_state(batch, stream);
  run_blocks(a, batch, ops, first, layers);
  score_stream(a, batch, ops, layers, logits);
}

// All layers; states as Backend::forward_with_states() has them.
template <class Ops>
void encode_with_states(const model::Architecture& a, const Batch& batch, Ops& ops, std::span<float> logits,
                        std::span<float> states) {
  const size_t width = model::exit_width(a), layers = a.layers();
  std::vector<float> rows(batch.tokens() * a.hidden), pooled(batch.size() * width);
  ops.embed(batch);
  for (size_t layer = 0; layer + 1 < layers; ++layer) {
    compute_block(batch, ops, layer, Rows::kAll);
    pool(a, batch, ops, rows, pooled);
    for (size_t s = 0; s < batch.size(); ++s)
      std::copy_n(&pooled[s * width], width, &states[(s * (layers - 1) + layer) * width]);
  }
  run_blocks(a, batch, ops, layers - 1, layers);
  score_stream(a, batch, ops, layers, logits);
}

}  // namespace rerank::engine
