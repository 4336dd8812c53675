// How attention is shared out over blocks of the device: tiles of 64 queries of one sequence, the long sequences first,
// so that the last blocks to start are short. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace rerank::engine::cuda {

inline constexpr uint32_t kTileQueries = 64;

struct QueryTile {
  uint32_t begin = 0, length = 0;  // the sequence's first token in the batch, and its tokens
  uint32_t first_query = 0;        // of the tile, within the sequence
};

inline std::vector<QueryTile> attention_tiles(const uint32_t* offsets, uint32_t sequences) {
  std::vector<QueryTile> tiles;
  for (uint32_t s = 0; s < sequences; ++s) {
    const uint32_t length = offsets[s + 1] - offsets[s];
    for (uint32_t query = 0; query < length; query += kTileQueries) tiles.push_back({offsets[s], length, query});
  }
  std::stable_sort(tiles.begin(), tiles.end(),
                   [](const QueryTile& a, const QueryTile& b) { return a.length > b.length; });
  return tiles;
}

}  // namespace rerank::engine::cuda
