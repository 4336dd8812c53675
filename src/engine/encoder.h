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
// Source of the formulas: Devlin et al. 2019 (BERT), post-norm, as in transformers' modeling_bert.py.
#pragma once

#include <span>

#include "engine/batch.h"
#include "model/config.h"

namespace rerank {

// Which rows a verb computes. Behind the last layer the head reads only the first token of each sequence.
enum class Rows { kAll, kFirst };

template <class Ops>
void encode(const ModelConfig& config, const Batch& batch, Ops& ops, std::span<float> logits) {
  ops.embed(batch);
  for (size_t layer = 0; layer < config.layers; ++layer) {
    const Rows rows = layer + 1 == config.layers ? Rows::kFirst : Rows::kAll;
    ops.project(layer, batch, rows);
    ops.attend(batch, rows);
    ops.keep(batch, rows);
    ops.attention_output(layer);
    ops.feed_forward(layer);
  }
  ops.head(logits);
}

}  // namespace rerank
