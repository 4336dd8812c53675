// What decides the weights of attention besides products of queries and keys: numbers that every engine shares.
#pragma once

#include <cstddef>
#include <vector>

#include "model/architecture.h"

namespace rerank::engine {

// ALiBi (Press et al. 2022): what each position of distance takes off a score of head `head` of `heads`: 2^(-8 (h + 1)
// / n) for n heads, a power of two; else those of the power below, then every other one of the power above.
float alibi_slope(size_t heads, size_t head);

// RoPE: [positions][2][head_size / 2], the cosines and the sines of the angles that model/architecture.h gives.
std::vector<float> rope_table(const model::Rope& rope, size_t head_size, size_t positions);

}  // namespace rerank::engine
