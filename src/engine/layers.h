// One layer of the forward pass, and all of them: the part of engine/encoder.h that needs no model, so that a device's
// library can be built without the rest of the program. encoder.h says what the verbs of `Ops` do.
#pragma once

#include <cstddef>

#include "engine/batch.h"

namespace rerank {

// Which rows a verb computes. Behind the last layer the head reads only the first token of each sequence.
enum class Rows { kAll, kFirst };

template <class Ops>
void compute_layer(const Batch& batch, Ops& ops, size_t layer, Rows rows) {
  ops.project(layer, batch, rows);
  ops.attend(batch, rows);
  ops.keep(batch, rows);
  ops.attention_output(layer);
  ops.feed_forward(layer);
}

// `behind(layer, rows)` is called when a layer has been computed.
template <class Ops, class Behind>
void run_layers(const Batch& batch, Ops& ops, size_t layers, const Behind& behind) {
  ops.embed(batch);
  for (size_t layer = 0; layer < layers; ++layer) {
    const Rows rows = layer + 1 == layers ? Rows::kFirst : Rows::kAll;
    compute_layer(batch, ops, layer, rows);
    behind(layer, rows);
  }
}

}  // namespace rerank
