// The forward pass of an architecture as a StableHLO program for one rectangle of tokens. Pure: the same architecture,
// shape and precision give the same text. engine/encoder.h has the formulas.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/padded/padding.h"
#include "engine/pjrt/stablehlo/text.h"
#include "model/architecture.h"

namespace rerank::engine::pjrt {

// Rows of one length. A row's sequence begins at its first token; what follows is padding.
using Rectangle = PaddedShape;
std::string shape_text(const Rectangle& shape);  // "8x128": rows x length

// Arguments of `main`, in order: %ids [rows, length], %lengths [rows], each at least 1, %segments [rows, length] where
// the model tells segments apart, all s32; then the weights, by names that weights.h resolves. Its result: a logit for
// each row, [rows], fp32.
struct ForwardProgram {
  std::string text;
  std::vector<Value> arguments;
  size_t inputs = 0;  // the first so many arguments are not weights
};

// `matrices`: kF32, or kBF16 where linear layers and attention multiply bf16, with sums, norms, softmax, residual
// stream and head in fp32. The architecture must be one that uncomputed_parts(a, kPairFeatures) finds nothing in, and
// the length within its limit.
ForwardProgram write_forward(const model::Architecture& architecture, const Rectangle& shape, Element matrices);

}  // namespace rerank::engine::pjrt
