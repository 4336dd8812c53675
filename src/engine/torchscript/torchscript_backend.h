// The TorchScript engine: a torch.jit file on libtorch, as PyTorch itself would run it. Pads inside.
#pragma once

#include <memory>
#include <string>

#include "engine/backend.h"

namespace rerank::engine {

// Loads the plugin with libtorch and the model's file: BackendOptions::torchscript_file, else the first of
// model/graphs.h's. Errors say what is missing or does not fit; Unimplemented where this build has no plugin.
Result<std::unique_ptr<Backend>> make_torchscript_backend(std::shared_ptr<const model::Model> model,
                                                          const BackendOptions& options);

// The file it would use, or the refusal. Loads neither libtorch nor weights.
Result<std::string> describe_torchscript_backend(const model::Model& model, const BackendOptions& options);

}  // namespace rerank::engine
