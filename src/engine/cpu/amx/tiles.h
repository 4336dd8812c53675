// The kernels of the AMX tiers, as a table of functions, and what they work on. Everything stays in tiles of 1 KiB
// (16 rows x 64 bytes) through the whole net, so that nothing is re-packed between layers:
//
//   A   rows x inputs: [row tile][input tile], 32 bf16 or 64 int8 inputs a tile; 16 tokens are a row tile
//   W   panels of 32 columns: [input tile][2 column tiles], inputs interleaved in 32-bit groups as the products want it
//   C   the residual stream in fp32: [row tile][column tile of 16]
//   Q   [head's 32 columns][row tile], like A;  K the same with each tile transposed in 32-bit groups
//   V   [head's 32 columns][half of 16][pair of rows][16][2], so that any 32 rows from an even one are a tile
//
// A sequence begins at a whole row tile; the rows after its last token hold finite values that no token sees. Widths
// are rounded up to 32 (int8 inputs: 64) with zero weights, head sizes too.
#pragma once

#include <cstddef>
#include <cstdint>

#include "model/architecture.h"

namespace rerank::engine::cpu {

inline constexpr size_t kTileBytes = 1024;
inline constexpr size_t kTileRow = 64;        // bytes of a row of a tile
inline constexpr size_t kRowTile = 16;        // rows of a tile
inline constexpr size_t kPanelColumns = 32;   // columns of a panel of weights
inline constexpr size_t kStepBytes = 2048;    // of a panel: one input tile
inline constexpr size_t kChunkSteps = 16;     // of a panel that stay in the L1 cache while rows stream past
inline constexpr size_t kBlockRowTiles = 32;  // rows that go through the weights together: 512
inline constexpr size_t kProductScratch = (kBlockRowTiles / 2 + 3) * 4096;

// Scores are counted in 2^-7 of a power of two, so that the whole number nearest to one is nearly the bf16 of its exp2.
inline constexpr float kScoreUnits = 128;

struct TileKernels;

// A row quantized to 8 bits without sign: value = lowest + unit * number.
struct RowRange {
  float unit, lowest;
};

struct TilePanels {
  const std::byte* data = nullptr;  // panel p at p * steps * kStepBytes
  const float* bias = nullptr;      // [panels * 32]
  const float* scales = nullptr;    // int8: what one unit of a column is worth
  const float* sums = nullptr;      // int8: of a column's weights, [panels][chunk of inputs][32]
  size_t panels = 0;
  size_t steps = 0;                      // input tiles
  const TileKernels* kernels = nullptr;  // what they were packed for
};

enum class TileResult {
  kQueries,  // bf16, times `factor`
  kKeys,     // bf16, transposed
  kValues,   // bf16, pairs of rows side by side
  kInner,    // bf16, after `activation`
  kGated,    // bf16, times what is there: the activated gate
  kAdd,      // onto fp32 C, without bias: the norm after it adds that
};

// Rows x panels [first_panel, last_panel) over input tiles [first_step, first_step + steps) of the weights.
struct TileProduct {
  const std::byte* a = nullptr;        // tile of first_step in row tile 0
  size_t a_stride = 0;                 // bytes between row tiles
  const RowRange* a_ranges = nullptr;  // int8: of each row
  size_t row_tiles = 0;                // even, at most kBlockRowTiles
  const TilePanels* weights = nullptr;
  size_t first_panel = 0, last_panel = 0, first_step = 0, steps = 0;  // int8: first_step is the first of a chunk
  TileResult result = TileResult::kAdd;
  model::Activation activation = model::Activation::kGelu;
  float factor = 1;
  std::byte* out = nullptr;  // of first_panel, row tile 0
  size_t out_panel_stride = 0, out_row_stride = 0;
  std::byte* scratch = nullptr;  // kProductScratch bytes
};

// Heads of one sequence: context = softmax(q k^T) v, where the queries carry the scale times log2(e) kScoreUnits.
struct TileAttention {
  const std::byte* queries = nullptr;  // first row tile, first 32 columns of the first head
  size_t query_stride = 0;             // bytes between 32 columns and the next
  size_t query_rows = 0;
  const std::byte* keys = nullptr;
  const std::byte* values = nullptr;
  size_t key_stride = 0;  // as query_stride, of keys and values
  size_t length = 0;
  size_t window = 0;       // only keys at most so many positions away; 0: all
  bool first_key = false;  // ... and the first, from everywhere
  float slope = 0;         // ALiBi: what each position away takes off a score of these heads
  size_t heads = 1;        // their columns lie one after the other
  size_t group = 1;        // so many of them, from the first on, share keys and values
  size_t head_tiles = 0;   // head size / 32, rounded up
  std::byte* context =
      nullptr;                // A: first row tile (and row, where `single_query`), first input tile of the first head
  size_t context_stride = 0;  // bytes between row tiles
  bool single_query = false;  // the one row wanted has no padding after it in `context`
  // Of disentangled attention: for each head, each 32 of its columns, tiles of 16 distances, 2 position_half of them,
  // the middle one from distance 0 on, like K. By the key's position minus the query's, and by the query's minus the
  // key's, times the factor that queries carry; either null: none.
  const std::byte* position_keys = nullptr;
  const std::byte* position_queries = nullptr;
  size_t position_half = 0;
  // Of bucketed distances: what is added to scores, in their units, by the key's position minus the query's: distance 0
  // of the first head is here, that of the next `distance_stride` further; 16 more after the last. null: none.
  const float* distance_bias = nullptr;
  size_t distance_stride = 0;
  std::byte* scratch = nullptr;           // attention_scratch(head_tiles) bytes
  std::byte* position_scratch = nullptr;  // position_scratch(length, head_tiles) bytes, where there is one of these
};

struct TileNorm {
  float* c = nullptr;      // a row tile, read and replaced
  std::byte* a = nullptr;  // the same in bf16
  size_t columns = 0;      // true width
  size_t column_tiles = 0;
  const float* bias = nullptr;                    // added first, [column_tiles * 16]; null: none
  const float *gamma = nullptr, *beta = nullptr;  // [column_tiles * 16]; gamma null: conversion to bf16 only
  bool keep = false;                              // pre-norm: c stays as it is, and `a` alone is normed; without a bias
  bool rms = false;
  float epsilon = 0;
};

// Of what pack() below writes.
inline constexpr int kTileLayout = 1;

struct TileKernels {
  bool int8 = false;
  size_t inputs_per_tile = 32;
  // 32 rows of `inputs` values, whole tiles -> one panel; int8: and 32 scales, and the sums of each chunk. Files of
  // --weight-cache hold them: whoever changes what lies where raises kTileLayout.
  void (*pack)(const float* rows, size_t inputs, std::byte* panel, float* scales, float* sums);
  void (*product)(const TileProduct& job);
  size_t (*attention_scratch)(size_t head_tiles);
  size_t (*position_scratch)(size_t length, size_t head_tiles);
  void (*attention)(const TileAttention& job);
  void (*norm)(const TileNorm& job);
  // A in bf16 -> A in int8, each row between its smallest and its largest value, or 0; `tiles`: of bf16, the last int8
  // tile filled up.
  void (*quantize)(const std::byte* from, size_t tiles, std::byte* to, RowRange* ranges);
  // RoPE of a tile of bf16 and the one whose values are head_size / 2 further: low = low cos - high sin, high = high
  // cos + low sin. angles: 512 cosines in the tile's own order, then as many sines.
  void (*rotate)(std::byte* low, std::byte* high, const float* angles);
  const TileKernels* exact = nullptr;  // of int8: bf16, for matrices that were kept from quantization
};

}  // namespace rerank::engine::cpu
