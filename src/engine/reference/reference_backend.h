// The judge: the forward pass in plain loops, fp32 values with fp64 sums, one thread. Slow. Every engine is held
// against it; it is never picked by itself.
#pragma once

#include <memory>

#include "engine/backend.h"

namespace rerank {

std::unique_ptr<Backend> make_reference_backend(std::shared_ptr<const Model> model,
                                                std::shared_ptr<const Exits> exits = nullptr);

}  // namespace rerank
