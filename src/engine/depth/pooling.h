// What the exit of a layer reads of each pair: the state of the first token (where the model's head reads the last one,
// of that), the mean state of the query's tokens, and that of the document's. In the middle of most encoders the first
// token knows little yet, the others a lot.
#pragma once

#include <span>

#include "engine/batch.h"

namespace rerank::engine {

// How many of a pair's tokens are the query's, its separator and the first token among them. The pair ends with a
// separator in every template that is known: the query with the first one. Where it does not, the query ends where
// segments change; else all is query.
size_t query_tokens(std::span<const int32_t> ids, std::span<const int32_t> segments);

// pooled [batch.size(), 3 * hidden] of rows [batch.tokens(), hidden]; a mean over no tokens is zero.
// `last`: the last token in the first one's place.
void pool_states(const Batch& batch, size_t hidden, bool last, std::span<const float> rows, std::span<float> pooled);

}  // namespace rerank::engine
