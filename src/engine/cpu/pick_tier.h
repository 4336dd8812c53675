// Which tier of kernels computes a model here, and why others do not.
#pragma once

#include <string>

#include "engine/backend.h"
#include "engine/cpu/vector/kernels.h"
#include "model/weights.h"

namespace rerank::engine::cpu {

// The best one that does what is asked for; loads nothing. InvalidArgument for a precision or tier that is not known;
// Unimplemented, saying why, for a model or tier that cannot be computed on this machine.
Result<const KernelTable*> pick_tier(const model::Model& model, const BackendOptions& options);

// "; not NAME: why" for each tier that cannot compute such a model here.
std::string refused_tiers(const model::Architecture& architecture);

}  // namespace rerank::engine::cpu
