// The one place of the library that reads and sets the environment: plugins are told of nothing otherwise.
#pragma once

#include <string>

#include "engine/pjrt/plugin.h"

namespace rerank::engine::pjrt {

// Sets what keeps plugins quiet, and what they ask for, before one is loaded. What the operator has set stays. Not
// beside threads that read the environment: models are opened before requests are served.
void set_plugin_environment(const LoadOptions& options);

// Empty where it is not set.
std::string environment_value(const char* name);

}  // namespace rerank::engine::pjrt
