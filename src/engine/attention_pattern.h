// What decides the weights of attention besides products of queries and keys: numbers that every engine shares.
#pragma once

#include <cstddef>
#include <vector>

#include "model/weights.h"

namespace rerank::engine {

// ALiBi (Press et al. 2022): what each position of distance takes off a score of head `head` of `heads`: 2^(-8 (h + 1)
// / n) for n heads, a power of two; else those of the power below, then every other one of the power above.
float alibi_slope(size_t heads, size_t head);

// RoPE: [positions][2][head_size / 2], the cosines and the sines of the angles that model/architecture.h gives.
std::vector<float> rope_table(const model::Rope& rope, size_t head_size, size_t positions);

// Of kDisentangled and kBuckets: the row of the tables for a query `distance` positions behind a key (negative: before
// it).
size_t relative_row(const model::Attention& attention, ptrdiff_t distance);

// From how many positions on, on either side, the row is the same; at most max_length.
size_t relative_reach(const model::Attention& attention, size_t max_length);

// Of kBuckets: what a head adds to scores, by the key's position minus the query's from -(length - 1) to length - 1.
// `table` [rows, heads].
std::vector<float> bias_by_distance(const model::Attention& attention, const std::vector<float>& table, size_t head,
                                    size_t length);

// What the table of relative positions [rows, hidden] becomes in one block: rows x weight^T + bias, [rows, out].
std::vector<float> projected_positions(const std::vector<float>& table, const model::Linear& projection);
// The table itself, after its norm where it has one.
std::vector<float> relative_table(const model::Weights& weights, const model::Architecture& architecture);

// What products of queries and keys are multiplied by.
float score_scale(const model::Attention& attention);

}  // namespace rerank::engine
