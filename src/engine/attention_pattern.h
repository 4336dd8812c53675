// What decides the weights of attention besides products of queries and keys: numbers that every engine shares.
#pragma once

#include <cstddef>
#include <vector>

namespace rerank {

// ALiBi (Press et al. 2022): what each position of distance takes off a score of head `head` of `heads`: 2^(-8 (h + 1)
// / n) for n heads, a power of two; else those of the power below, then every other one of the power above.
float alibi_slope(size_t heads, size_t head);

// RoPE (Su et al. 2021): [positions][2][head_size / 2], the cosines and the sines by which pair (c, c + head_size / 2)
// is turned: position x theta^(-2 c / head_size).
std::vector<float> rope_turns(float theta, size_t head_size, size_t positions);

}  // namespace rerank
