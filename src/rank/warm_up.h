// Runs a few batches before serving: pages the weights in, and tells the planner how fast the engine is.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "rerank/status.h"
#include "schedule/scheduler.h"

namespace rerank::rank {

struct WarmUp {
  std::vector<schedule::MeasuredBatch> batches;
  double square_weight = 0;  // attention's cost of one squared token, relative to one token of the linear layers
};

// `ids`: token ids to compute on, any the model knows; not empty, and as many different ones as a batch has sequences.
// `square_weight`: what the model's shape says, used where it cannot be measured. `clock`: seconds. Takes about a
// second at most, after the first batch. `seat`: takes a turn for each batch, where others compute; null: nobody does.
Result<WarmUp> warm_up(engine::Backend& backend, std::span<const int32_t> ids, double square_weight,
                       const std::function<double()>& clock, schedule::Turns::Seat* seat = nullptr);

}  // namespace rerank::rank
