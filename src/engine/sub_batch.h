// Some sequences of a batch copied end to end, in an order of their own.
#pragma once

#include <span>
#include <vector>

#include "engine/batch.h"

namespace rerank {

struct SubBatch {
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets;
  std::vector<uint8_t> layers;  // empty where the batch says nothing of them

  void assign(const Batch& batch, std::span<const uint32_t> sequences) {
    ids.clear();
    segments.clear();
    layers.clear();
    offsets.assign(1, 0);
    for (uint32_t s : sequences) {
      const auto begin = batch.offsets[s], end = batch.offsets[s + 1];
      ids.insert(ids.end(), batch.ids.begin() + begin, batch.ids.begin() + end);
      segments.insert(segments.end(), batch.segments.begin() + begin, batch.segments.begin() + end);
      offsets.push_back(static_cast<uint32_t>(ids.size()));
      if (!batch.layers.empty()) layers.push_back(batch.layers[s]);
    }
  }
  Batch view() const { return {ids, segments, offsets, layers}; }
};

}  // namespace rerank
