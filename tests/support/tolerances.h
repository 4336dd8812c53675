// How far a logit may be from the exact one, by engine and precision: one table for all tests. "Exact" is what
// transformers computed in fp32 (recorded pairs) or what the reference engine computes (generated models).
#pragma once

#include <stdexcept>

#include "rerank/choice.h"

namespace rerank::testing {

struct Tolerance {
  EngineKind engine;
  Precision precision;
  double recorded;   // tests/data/models: small models, logits some units apart
  double generated;  // random weights, logits about 1 apart, which int8 suits less
};

inline constexpr Tolerance kTolerances[] = {
    {EngineKind::kReference, Precision::kFp32, 1e-4, 1e-4},   {EngineKind::kCpu, Precision::kFp32, 1e-4, 1e-4},
    {EngineKind::kCpu, Precision::kBf16, 3e-2, 3e-2},         {EngineKind::kCpu, Precision::kInt8, 7e-2, 1e-1},
    {EngineKind::kCpu, Precision::kInt4, 8e-1, 8e-1},         {EngineKind::kCuda, Precision::kFp32, 1e-4, 1e-4},
    {EngineKind::kCuda, Precision::kFp16, 1e-2, 1e-2},        {EngineKind::kCuda, Precision::kBf16, 3e-2, 3e-2},
    {EngineKind::kCuda, Precision::kFp8, 3e-1, 3e-1},         {EngineKind::kOnnx, Precision::kFp32, 1e-4, 1e-4},
    {EngineKind::kOnnx, Precision::kFp16, 1e-2, 2e-2},        {EngineKind::kOnnx, Precision::kInt8, 1e-1, 2e-1},
    {EngineKind::kTorchscript, Precision::kFp32, 1e-4, 1e-4}, {EngineKind::kPjrt, Precision::kFp32, 1e-4, 1e-4},
    {EngineKind::kPjrt, Precision::kBf16, 3e-2, 3e-2},
};

inline const Tolerance& tolerance(EngineKind engine, Precision precision) {
  for (const Tolerance& row : kTolerances)
    if (row.engine == engine && row.precision == precision) return row;
  throw std::logic_error("tolerances.h has no row for this engine and precision");
}

// Of a kernel tier of the CPU engine. AVX2 multiplies int8 with activations of seven bits, which doubles their error.
inline double generated_tolerance_of_tier(KernelTier tier, Precision precision) {
  const double generated = tolerance(EngineKind::kCpu, precision).generated;
  return precision == Precision::kInt8 && tier == KernelTier::kAvx2 ? 2 * generated : generated;
}

}  // namespace rerank::testing
