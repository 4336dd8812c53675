// Times an engine, for commands that say what something costs.
#pragma once

#include <cstddef>

#include "engine/backend.h"

namespace rerank::cli {

// What one pair of a length takes, of random tokens below `vocabulary`, in a batch of such pairs: the best of five,
// each of `least_seconds` at least. 0: the engine failed.
double seconds_of_pair(engine::Backend& backend, const model::Architecture& architecture, size_t tokens,
                       size_t vocabulary, double least_seconds = 0.1);

}  // namespace rerank::cli
