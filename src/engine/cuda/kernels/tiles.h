// How attention is shared out over blocks of the device: tiles of 64 or 128 queries of one sequence, the long sequences
// first, so that the last blocks to start are short. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace rerank::engine::cuda {

inline constexpr uint32_t kTileQueries = 64;
// Of wgmma's kernels, where it pays: each tile of keys and values is read for twice as many queries.
inline constexpr uint32_t kLongTileQueries = 128;

// Queries of a tile of a batch. Long tiles where most of each is filled, and where they are enough for two blocks on
// every processor. `heads`: blocks of a tile. A guess: not measured on a GPU.
inline uint32_t tile_queries(size_t rows, size_t sequences, uint32_t heads, uint32_t processors) {
  constexpr size_t kShortest = kLongTileQueries * 3 / 4;
  const bool filled = rows >= kShortest * sequences;
  return filled && rows / kLongTileQueries * heads >= size_t{2} * processors ? kLongTileQueries : kTileQueries;
}

// Rows that attention computes together, and those before them that their keys go on from: a sequence, or what several
// sequences begin with, or what a sequence has after that.
struct Run {
  uint32_t begin = 0, length = 0;  // its first row in the batch, and its rows
  uint32_t prefix_begin = 0, prefix_length = 0;
};

// A row of keys and values that is copied, of one block: a row of the batch (kOwnRow | its number), or one that is
// kept.
struct KeyMove {
  uint32_t from = 0, to = 0;
};

struct QueryTile {
  uint32_t begin = 0, length = 0;                // of the run
  uint32_t first_query = 0;                      // of the tile, within the run
  uint32_t prefix_begin = 0, prefix_length = 0;  // of the run: positions count from there
};

inline std::vector<QueryTile> attention_tiles(std::span<const Run> runs, uint32_t queries = kTileQueries) {
  std::vector<QueryTile> tiles;
  for (const Run& run : runs) {
    for (uint32_t query = 0; query < run.length; query += queries)
      tiles.push_back({run.begin, run.length, query, run.prefix_begin, run.prefix_length});
  }
  std::stable_sort(tiles.begin(), tiles.end(), [](const QueryTile& a, const QueryTile& b) {
    return a.prefix_length + a.length > b.prefix_length + b.length;
  });
  return tiles;
}

}  // namespace rerank::engine::cuda
