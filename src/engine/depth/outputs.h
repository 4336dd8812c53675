// What a model's own output after an earlier block says, computed on the host: for engines whose devices give only
// what exits read.
#pragma once

#include <cstddef>
#include <span>

#include "model/weights.h"

namespace rerank::engine {

// logits [sequences] of the output after `layers` blocks, at least scoring.first_output, of pooled [sequences,
// exit_width()] (pooling.h). Sums are fp64.
void outputs_of_pooled(const model::Model& model, size_t layers, std::span<const float> pooled,
                       std::span<float> logits);

}  // namespace rerank::engine
