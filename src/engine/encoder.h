// The forward pass of an encoder with a classification head, written once over the verbs of a device.
//
// `Ops` holds the weights in the device's own form and the activations of one batch:
//   hidden [tokens, hidden]   the state that every layer reads and replaces
//   context [tokens, hidden]  what attention leaves behind
// and offers
//   embed(batch)              hidden = LayerNorm(words[id] + positions[offset + i] + segments[s]), projected where the
//   tables
//                             are narrower than the encoder
//   project(layer, rows)      queries (of `rows`), keys and values (of all rows) = hidden W^T + b
//   attend(batch, rows)       context = softmax(q k^T / sqrt(head size)) v, within each sequence and head
//   keep(batch, rows)         hidden = its `rows`
//   attention_output(layer)   hidden = LayerNorm(hidden + context W^T + b)
//   feed_forward(layer)       hidden = LayerNorm(hidden + activation(hidden U^T + u) D^T + d)
//   head(logits)              logits = W2 activation(W1 hidden + b1) + b2 of each row
//   suspend(batch, out)       out [tokens, hidden] = hidden
//   resume(batch, in)         hidden = in, as suspend() has left it: what follows is the same, bit for bit
// Source of the formulas: Devlin et al. 2019 (BERT), post-norm, as in transformers' modeling_bert.py.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/depth/pooling.h"
#include "engine/layers.h"
#include "model/config.h"
#include "model/exits.h"

namespace rerank {

// How far to go: `layers` of all there are (0: all), and what reads the logit there (null: the model's own head).
struct Depth {
  size_t layers = 0;
  const ExitHead* exit = nullptr;
};

// The depth that a batch asks for its sequence `i`.
inline Depth depth_of(const ModelConfig& config, const Batch& batch, size_t i, const Exits* exits) {
  const size_t layers = batch.layers.empty() || batch.layers[i] == 0 ? config.layers : batch.layers[i];
  const bool exit = exits != nullptr && layers < config.layers;
  return {layers, exit ? &exits->heads[layers - 1] : nullptr};
}

// All layers, and the model's own head.
template <class Ops>
void encode(const ModelConfig& config, const Batch& batch, Ops& ops, std::span<float> logits) {
  run_layers(batch, ops, config.layers, [](size_t, Rows) {});
  ops.head(logits);
}

// pooled [sequences, exit_width()] of the state behind a layer, whose rows go through `rows` [tokens, hidden].
template <class Ops>
void pool(const ModelConfig& config, const Batch& batch, Ops& ops, std::span<float> rows, std::span<float> pooled) {
  ops.suspend(batch, rows);
  pool_states(batch, config.hidden, rows, pooled);
}

template <class Ops>
void encode_to(const ModelConfig& config, const Batch& batch, Ops& ops, const Depth& depth, std::span<float> logits) {
  const size_t layers = depth.layers == 0 ? config.layers : depth.layers;
  if (depth.exit == nullptr) {
    run_layers(batch, ops, layers, [](size_t, Rows) {});
    return ops.head(logits);
  }
  ops.embed(batch);
  for (size_t layer = 0; layer < layers; ++layer) compute_layer(batch, ops, layer, Rows::kAll);
  const size_t width = exit_width(config);
  std::vector<float> rows(batch.tokens() * config.hidden), pooled(batch.size() * width);
  pool(config, batch, ops, rows, pooled);
  for (size_t s = 0; s < batch.size(); ++s) logits[s] = depth.exit->apply(&pooled[s * width]);
}

// A way to stop in between: one layer of all rows. `hidden` [tokens, hidden] is read, but for the first layer, and
// replaced; pooled [sequences, exit_width()] is what exits read behind it.
template <class Ops>
void encode_one_layer(const ModelConfig& config, const Batch& batch, Ops& ops, size_t layer, std::span<float> hidden,
                      std::span<float> pooled) {
  layer == 0 ? ops.embed(batch) : ops.resume(batch, hidden);
  compute_layer(batch, ops, layer, Rows::kAll);
  pool(config, batch, ops, hidden, pooled);
}

// ... and from there to the end: layers from `layer` on.
template <class Ops>
void encode_rest(const ModelConfig& config, const Batch& batch, Ops& ops, size_t layer, std::span<const float> hidden,
                 std::span<float> logits) {
  layer == 0 ? ops.embed(batch) : ops.resume(batch, hidden);
  for (; layer < config.layers; ++layer)
    compute_layer(batch, ops, layer, layer + 1 == config.layers ? Rows::kFirst : Rows::kAll);
  ops.head(logits);
}

// All layers; states as Backend::forward_with_states() has them.
template <class Ops>
void encode_with_states(const ModelConfig& config, const Batch& batch, Ops& ops, std::span<float> logits,
                        std::span<float> states) {
  const size_t width = exit_width(config);
  std::vector<float> hidden(batch.tokens() * config.hidden), pooled(batch.size() * width);
  run_layers(batch, ops, config.layers, [&](size_t layer, Rows) {
    if (layer + 1 == config.layers) return;
    pool(config, batch, ops, hidden, pooled);
    for (size_t s = 0; s < batch.size(); ++s)
      std::copy_n(&pooled[s * width], width, &states[(s * (config.layers - 1) + layer) * width]);
  });
  ops.head(logits);
}

}  // namespace rerank
