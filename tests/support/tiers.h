// Which kernel tiers of the CPU engine a test can try much on.
#pragma once

#include "engine/cpu/vector/kernels.h"

namespace rerank::testing {

// Whole batches in little time: not loops, emulations, or tile units.
inline bool is_fast_vector_tier(const engine::cpu::KernelTable& table) {
  const auto [needs, use] = engine::cpu::traits_of(table.tier);
  return needs != 0 && (needs & engine::cpu::kAmx) == 0 && use != engine::cpu::TierUse::kTests;
}

}  // namespace rerank::testing
