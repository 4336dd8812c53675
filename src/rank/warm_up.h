// Runs a few batches before serving: pages the weights in, and tells the planner how fast the engine is.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "rerank/status.h"
#include "schedule/scheduler.h"

namespace rerank::rank {

// What the shape says of attention: what other tokens add to a token's cost, in parts of that of its linear layers. Of
// causal models a token sees half of its sequence in the mean.
schedule::AttentionCost attention_cost(const model::Architecture& architecture);

struct WarmUp {
  std::vector<schedule::MeasuredBatch> batches;
  schedule::AttentionCost attention;
};

// `ids`: token ids to compute on, any the model knows; not empty, and as many different ones as a batch has sequences.
// `shape`: what the model's shape says of attention: how its parts are to one another, and where they cannot be
// measured how large they are. `clock`: seconds. Takes about a second at most, after the first batch. `seat`: takes a
// turn for each batch, where others compute; null: nobody does.
Result<WarmUp> warm_up(engine::Backend& backend, std::span<const int32_t> ids, const schedule::AttentionCost& shape,
                       const std::function<double()>& clock, schedule::Turns::Seat* seat = nullptr);

}  // namespace rerank::rank
