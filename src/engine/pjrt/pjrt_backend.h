// The PJRT engine: a model's forward pass as StableHLO, compiled and run by a plugin for TPUs, GPUs or CPUs. Pads
// inside, to shapes that programs were compiled for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace rerank::engine {

// Loads the plugin BackendOptions::pjrt_plugin, puts the weights on device BackendOptions::device, and compiles the
// first shapes; the others are compiled while it serves. Errors say what is missing, or what the plugin refuses.
Result<std::unique_ptr<Backend>> make_pjrt_backend(std::shared_ptr<const model::Model> model,
                                                   const BackendOptions& options);

// A backend for each of these devices of one client, which share their programs.
Result<std::vector<std::unique_ptr<Backend>>> make_pjrt_backends(std::shared_ptr<const model::Model> model,
                                                                 const BackendOptions& options,
                                                                 const std::vector<size_t>& devices);

// The plugin, devices, shapes and memory it would take, or the refusal. Loads the plugin, compiles nothing.
Result<std::string> describe_pjrt_backend(const model::Model& model, const BackendOptions& options);

}  // namespace rerank::engine
