// The CPU engine: the packed forward pass in fp32 on the best vector tier of this machine.
#pragma once

#include <memory>

#include "engine/backend.h"

namespace rerank::engine {

// Packs the weights for the tier and starts the threads. InvalidArgument for a precision or tier that is not known;
// Unimplemented, saying why, for one that this CPU cannot run.
Result<std::unique_ptr<Backend>> make_cpu_backend(std::shared_ptr<const model::Model> model,
                                                  const BackendOptions& options);

// The tier and precision it would run with, or the refusal; loads nothing.
Result<std::string> describe_cpu_backend(const model::Model& model, const BackendOptions& options);

}  // namespace rerank::engine
