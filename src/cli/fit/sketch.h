// A model's shape without its weights: what a machine makes of it is measured on a few layers of random numbers.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/backend.h"
#include "model/weights.h"
#include "rerank/options.h"
#include "rerank/status.h"

namespace rerank::cli {

// A model of this configuration cut to its first `layers` and a small vocabulary, with random weights, in a file of the
// temporary folder that has no name any more. Unavailable where there is no room for it.
Result<std::shared_ptr<const model::Model>> sketch_model(const model::ModelConfig& config, size_t layers);

// Bytes of the weights by what becomes of them.
struct WeightSizes {
  uint64_t parameters = 0;
  uint64_t matrices = 0;  // elements of the blocks' matrices: what a precision makes smaller
  uint64_t largest_block = 0;
};
WeightSizes weight_sizes(const model::ModelConfig& config);

// Seconds of one pair of `tokens` tokens, alone on the machine; as predicted from a few layers.
struct SpeedAt {
  size_t tokens;
  double seconds;
};
struct Speed {
  engine::BackendInfo engine;
  std::vector<SpeedAt> at;
};
Result<Speed> predict_speed(const model::ModelConfig& config, const Options& options,
                            const std::vector<size_t>& lengths);

}  // namespace rerank::cli
