// Holds a converted model against the reference engine on the original.
#pragma once

#include <functional>
#include <memory>
#include "rerank/choice.h"

#include "engine/backend.h"

namespace rerank::convert {

struct Verification {
  size_t pairs = 0, tokens = 0;
  double largest = 0, mean = 0;  // |logit - reference|, or of each number of a vector
  double spread = 0;             // largest reference logit - smallest: what differences are to be seen against
};

// Scores generated pairs of mixed lengths, fewer for larger models: the reference is slow. `layers`: of the original
// that were kept; 0: all. `progress` may be empty.
Result<Verification> verify_converted(std::shared_ptr<const model::Model> original, size_t layers,
                                      engine::Backend& converted,
                                      const std::function<void(uint64_t, uint64_t)>& progress);

// The largest difference that rounding explains, by what an engine computes in or a file was written in, where
// reference logits span `spread`: beyond it an engine or a file is broken.
double explained_difference(Precision precision, double spread);

}  // namespace rerank::convert
