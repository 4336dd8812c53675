// Whether the packed weights of a model have room.
#pragma once

#include <cstdint>

#include "model/weights.h"
#include "rerank/choice.h"
#include "rerank/status.h"

namespace rerank::engine::cpu {

// Bytes of the blocks' matrices in a precision; tables stay in their files.
uint64_t packed_bytes(const model::Weights& weights, Precision precision);

// ResourceExhausted where they are more than `memory` bytes less `taken`, those of the process's other models: with the
// figures, and the precisions that would have room.
Status check_room(const model::Weights& weights, Precision precision, uint64_t memory, uint64_t taken = 0);

}  // namespace rerank::engine::cpu
