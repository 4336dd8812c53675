// A Backend over an engine that computes block by block: early exits, contests (contests.h), states for the fitting of
// exits, and batches that are larger than the engine's memory.
#pragma once

#include <memory>

#include "engine/layered.h"

namespace rerank::engine {

// `exits` may be null.
std::unique_ptr<Backend> make_layered_backend(std::shared_ptr<const model::Model> model,
                                              std::shared_ptr<const model::Exits> exits,
                                              std::unique_ptr<LayeredEngine> engine);

}  // namespace rerank::engine
