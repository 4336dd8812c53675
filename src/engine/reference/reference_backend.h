// The judge: the forward pass in plain loops, fp32 values with fp64 sums, one thread. Slow. Every engine is held
// against it; it is never picked by itself.
#pragma once

#include <functional>
#include <memory>

#include "engine/backend.h"

namespace rerank::engine {

// Called after each linear layer of the encoder's layers, with all its rows: inputs [rows, in], and outputs [rows,
// out], which it may change, to see what that would do to the logits.
using LinearHook = std::function<void(const model::Linear&, std::span<const float> inputs, std::span<float> outputs)>;

std::unique_ptr<Backend> make_reference_backend(std::shared_ptr<const model::Model> model,
                                                std::shared_ptr<const model::Exits> exits = nullptr,
                                                LinearHook hook = {});

}  // namespace rerank::engine
