// Where a forward pass of the CPU engine spends its time.
#pragma once

#include "engine/backend.h"

namespace rerank::bench {

// Runs `batch` a few times on one thread with the tier that `options` name (precision and kernel; "auto": the first
// that runs), and prints for each verb its share and its rate, as medians, next to the peak measured in between.
void print_profile(std::shared_ptr<const model::Model> model, const engine::BackendOptions& options,
                   const engine::Batch& batch);

}  // namespace rerank::bench
