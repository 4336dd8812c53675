// The CUDA engine's face to the program: finds librerank_cuda.so (plugin.h), which the program does not need to start,
// and hands it models and batches.
#pragma once

#include <memory>
#include <string>

#include "engine/backend.h"

namespace rerank::engine {

// What it would run on, or why not: built without CUDA, no library, no driver, no device, a precision it has not.
Result<std::string> describe_cuda_backend(const model::Model& model, const BackendOptions& options);
Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options);

}  // namespace rerank::engine
