// One block of the forward pass, and all of them: the part of engine/encoder.h that needs no model, so that a device's
// library can be built without the rest of the program. encoder.h says what the verbs of `Ops` do.
#pragma once

#include <cstddef>

#include "engine/batch.h"

namespace rerank::engine {

// Which rows a verb computes. After the last block's attention only the rows that the head reads are needed: one of
// each sequence, unless it reads a mean over all.
enum class Rows { kAll, kScored };

// What the order of a block's verbs depends on.
struct BlockOrder {
  bool pre_norm = false;
  bool attention_norm = true;  // pre-norm: false where the stream goes into attention as it is
  bool convolution = false;    // a convolution of the embedding's rows is added after the block
};

template <class Ops>
void compute_block(const Batch& batch, Ops& ops, size_t layer, Rows rows) {
  if constexpr (requires { ops.compute_in_chunks(layer, batch, rows); }) {
    if (ops.compute_in_chunks(layer, batch, rows)) return;
  }
  const BlockOrder order = ops.order(layer);
  if (order.pre_norm && order.attention_norm) ops.norm_attention(layer);
  ops.project(layer, batch, rows);
  ops.attend(batch, rows);
  ops.select_rows(batch, rows);
  ops.add_attention(layer);
  if (order.pre_norm) ops.norm_feed_forward(layer);
  ops.add_feed_forward(layer);
  if constexpr (requires { ops.add_convolution(batch, rows); }) {
    if (order.convolution) ops.add_convolution(batch, rows);
  }
}

}  // namespace rerank::engine
