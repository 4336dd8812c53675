// Batches of random tokens, for tests whose numbers may be any.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "engine/batch.h"

namespace rerank::testing {

// One more sequence; its second half is of segment 1 where there are two.
inline void add_random(engine::OwnedBatch& batch, size_t length, size_t vocabulary, size_t segment_rows,
                       std::mt19937& random) {
  std::vector<int32_t> ids(length), segments(length);
  for (size_t i = 0; i < length; ++i) {
    ids[i] = static_cast<int32_t>(random() % vocabulary);
    segments[i] = segment_rows > 1 && i > length / 2 ? 1 : 0;
  }
  batch.add(ids, segments);
}

inline engine::OwnedBatch random_batch(std::initializer_list<size_t> lengths, size_t vocabulary, size_t segment_rows,
                                       uint32_t seed) {
  std::mt19937 random(seed);
  engine::OwnedBatch batch;
  for (size_t length : lengths) add_random(batch, length, vocabulary, segment_rows, random);
  return batch;
}

}  // namespace rerank::testing
