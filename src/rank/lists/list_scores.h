// Vectors of blocks -> scores of documents, for models that read documents together. Pure.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "text/lists/list_encoder.h"

namespace rerank::rank {

// `vectors`: of each block those of its documents, in order, then the query's, `width` floats each, end to end. A
// document's score is the cosine of its vector and the query's, in [-1, 1]. Where there are several blocks, the query's
// is the mean of theirs, each by (1 + the best score within its block) / 2, as jina-reranker-v3's makers compute it.
// NaN where a vector is zero or not finite: that document's alone, where it is not the query's.
std::vector<float> list_scores(std::span<const text::ListBlock> blocks, std::span<const float> vectors, size_t width);

}  // namespace rerank::rank
