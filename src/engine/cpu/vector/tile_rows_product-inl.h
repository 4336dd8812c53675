// Products on the tile unit (AMX) of rows of activations that lie one after the other: for models whose other parts
// the tile kernels (amx/) do not compute, as decoders. Panels are those of the vector products, whose rows of 32-bit
// groups are what a tile of weights wants. Included once per target by kernels.cc.
//
// A block of rows is converted into tiles that are whole in memory. 16 tiles of a panel's inputs (32 KiB) stay in the
// L1 cache while the rows stream past them; sums of several such chunks of inputs wait in memory. 32 rows and 32
// columns are multiplied together, so that each tile that is loaded meets two.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kTileUnitSize = kTileUnitRows * kTileUnitBytes;
constexpr size_t kChunkTiles = 16;                              // of a row's inputs, that meet a panel's together
constexpr size_t kPanelRow = kTileColumns * 4;                  // bytes
constexpr bool kWidePanel = kTileColumns == 32;                 // two tiles of columns; else one
constexpr size_t kPairSums = 2 * kTileUnitRows * kTileColumns;  // of two tiles of rows and a panel

// Rows of activations in tiles: [rows / 16][tiles][16][64 bytes].
struct TileRows {
  const std::byte* data;
  size_t tiles;            // of a row's inputs
  float* sums;             // room for those of a panel, of each 32 rows [32][kTileColumns]
  const RowRange* ranges;  // of rows in int8
};

// The more rows, the less often weights come from far away; as many as leave room in an L2 cache of 2 MiB for a panel
// and results.
HWY_INLINE size_t rows_of_tiles(size_t bytes) {  // of a row
  return std::clamp<size_t>((832u << 10) / bytes / 32 * 32, 96, 384);
}
HWY_INLINE size_t sums_bytes(size_t rows) { return round_up_to(rows, 32) / 32 * kPairSums * sizeof(float); }

// What the vector unit does between products of tiles, a little at each step: lines of the next panel are prefetched,
// then those that results go to, and results of the 32 rows before are finished.
template <class Finish>
struct InterleavedWork {
  const Finish& finish;
  const Target& t;
  const std::byte* panel;  // the next
  size_t lines, lines_a_step;
  size_t prefetch_row = 0, prefetch_end = 0;  // of results
  size_t row = 0, end = 0;                    // to finish
  const float* sums = nullptr;

  HWY_INLINE void step() {
    for (size_t i = 0; i < lines_a_step && lines > 0; ++i, --lines, panel += 64) __builtin_prefetch(panel, 0, 2);
    for (size_t i = 0; i < 2 && prefetch_row < prefetch_end; ++i, ++prefetch_row) {
      const float* const to = t.c + prefetch_row * t.c_stride;
      __builtin_prefetch(to, 1, 3);
      __builtin_prefetch(to + kTileColumns - 1, 1, 3);
    }
    finish_rows(2);
  }
  HWY_INLINE void finish_rows(size_t count) {
    for (size_t i = 0; i < count && row < end; ++i, ++row, sums += kTileColumns) finish(row, sums);
  }
};

// Sum kTile: of rows 16 (kTile / 2) and columns 16 (kTile % 2) on.
template <class Tiles, int kTile>
HWY_INLINE void begin_sum(const float* sums, bool first) {
  if (first) return Tiles::template zero<kTile>();
  Tiles::template load<kTile>(sums + kTile / 2 * 16 * kTileColumns + kTile % 2 * 16, kPanelRow);
}
template <class Tiles, int kTile>
HWY_INLINE void keep_sum(float* sums) {
  Tiles::template store<kTile>(sums + kTile / 2 * 16 * kTileColumns + kTile % 2 * 16, kPanelRow);
}

// Two tiles of rows (or one) times `tiles` tiles of a panel: onto sums [32][kTileColumns].
template <class Tiles, bool kInt8, bool kBoth, class Work>
HWY_INLINE void multiply_pair(const std::byte* upper, const std::byte* lower, size_t tiles, const std::byte* panel,
                              float* sums, bool first, Work& work) {
  begin_sum<Tiles, 0>(sums, first);
  if constexpr (kWidePanel) begin_sum<Tiles, 1>(sums, first);
  if constexpr (kBoth) begin_sum<Tiles, 2>(sums, first);
  if constexpr (kBoth && kWidePanel) begin_sum<Tiles, 3>(sums, first);
  const auto times = [&]<int kC, int kA, int kB>() HWY_ATTR {
    if constexpr (kInt8) {
      Tiles::template multiply_u8s8<kC, kA, kB>();
    } else {
      Tiles::template multiply_bf16<kC, kA, kB>();
    }
  };
  for (size_t k = 0; k < tiles; ++k, panel += kTileUnitRows * kPanelRow) {
    Tiles::template load<6>(panel, kPanelRow);
    Tiles::template load_stream<4>(upper + k * kTileUnitSize, kTileUnitBytes);
    times.template operator()<0, 4, 6>();
    if constexpr (kWidePanel) Tiles::template load<7>(panel + kTileUnitBytes, kPanelRow);
    if constexpr (kWidePanel) times.template operator()<1, 4, 7>();
    if constexpr (kBoth) Tiles::template load_stream<5>(lower + k * kTileUnitSize, kTileUnitBytes);
    if constexpr (kBoth) times.template operator()<2, 5, 6>();
    if constexpr (kBoth && kWidePanel) times.template operator()<3, 5, 7>();
    work.step();
  }
  keep_sum<Tiles, 0>(sums);
  if constexpr (kWidePanel) keep_sum<Tiles, 1>(sums);
  if constexpr (kBoth) keep_sum<Tiles, 2>(sums);
  if constexpr (kBoth && kWidePanel) keep_sum<Tiles, 3>(sums);
}

// A block of rows times a panel; `lines` lines of the next are prefetched. What becomes of a row's sums is said by
// finish(row, sums).
template <class Tiles, bool kInt8, class Finish>
HWY_INLINE void multiply_block(const TileRows& a, size_t rows, const std::byte* panel, size_t lines, const Target& t,
                               const Finish& finish) {
  const size_t pairs = (rows + 31) / 32;
  InterleavedWork<Finish> work = {finish, t, panel + lines * 64, lines,
                                  (lines + pairs * a.tiles - 1) / (pairs * a.tiles)};
  for (size_t first = 0; first < a.tiles; first += kChunkTiles) {
    const size_t tiles = std::min(kChunkTiles, a.tiles - first);
    const bool last = first + tiles == a.tiles;
    const std::byte* const weights = panel + first * kTileUnitRows * kPanelRow;
    for (size_t pair = 0; pair < pairs; ++pair) {
      const std::byte* const upper = a.data + (2 * pair * a.tiles + first) * kTileUnitSize;
      const std::byte* const lower = upper + a.tiles * kTileUnitSize;
      float* const sums = a.sums + pair * kPairSums;
      const size_t row = 32 * pair, end = std::min(rows, row + 32);
      if (last) work.prefetch_row = row, work.prefetch_end = end;
      if (end - row > kTileUnitRows) {
        multiply_pair<Tiles, kInt8, true>(upper, lower, tiles, weights, sums, first == 0, work);
      } else {
        multiply_pair<Tiles, kInt8, false>(upper, lower, tiles, weights, sums, first == 0, work);
      }
      work.finish_rows(32);
      if (last) work.row = row, work.end = end, work.sums = sums;
    }
  }
  work.finish_rows(32);
}

// Bias and residual onto a row's sums, and where they go.
HWY_INLINE void finish_sums(V value, const Target& t, size_t row, size_t n) {
  const D d;
  if (t.bias != nullptr) value = hn::Add(value, hn::Load(d, t.bias + n));
  if (t.residual != nullptr) value = hn::Add(value, hn::LoadU(d, t.residual + row * t.c_stride + n));
  hn::StoreU(value, d, t.c + row * t.c_stride + n);
}

template <class Tiles>
struct TileRowsBf16 : VectorProduct<Bf16Dot<false>> {
  using Base = VectorProduct<Bf16Dot<false>>;
  static size_t block_rows(size_t in) { return rows_of_tiles(steps_of(in) * sizeof(Element)); }
  HWY_INLINE static void begin() { Tiles::configure(); }
  HWY_INLINE static void end() { Tiles::release(); }
  static size_t scratch_bytes(size_t in, size_t rows) {
    return sums_bytes(rows) + round_up_to(rows, 16) * steps_of(in) * 2;
  }

  HWY_INLINE static TileRows prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    constexpr size_t kInputs = kTileUnitBytes / 2;
    std::byte* const tiles = scratch + sums_bytes(rows);
    for (size_t r = 0; r < rows; ++r, a += a_stride) {
      std::byte* to = tiles + r / 16 * 16 * steps_of(in) * 2 + r % 16 * kTileUnitBytes;
      for (size_t k = 0; k < in; k += kInputs, to += kTileUnitSize)
        convert_rows_to_bf16(a + k, 0, 1, std::min(kInputs, in - k), reinterpret_cast<uint16_t*>(to), kInputs, 1);
    }
    return {tiles, steps_of(in) / kInputs, reinterpret_cast<float*>(scratch), nullptr};
  }

  HWY_INLINE static void multiply(TileRows a, size_t rows, size_t in, const uint16_t* panel, Target t) {
    const auto finish = [&](size_t row, const float* sums) HWY_ATTR {
      for (size_t n = 0; n < kTileColumns; n += kLanes) finish_sums(hn::Load(D(), sums + n), t, row, n);
    };
    multiply_block<Tiles, false>(a, rows, reinterpret_cast<const std::byte*>(panel), steps_of(in) * kColumns * 2 / 64,
                                 t, finish);
  }
};

// Of 64 inputs a step, summed in 32 bits.
struct TileByteDot : QuadDot {
  static constexpr size_t kInputs = 64;
};

template <class Tiles>
struct TileRowsInt8 : ByteProduct<TileByteDot> {
  using Base = ByteProduct<TileByteDot>;
  static size_t block_rows(size_t in) { return rows_of_tiles(steps_of(in) * sizeof(Element)); }
  HWY_INLINE static void begin() { Tiles::configure(); }
  HWY_INLINE static void end() { Tiles::release(); }
  // Sums, tiles, a row, ranges.
  static size_t scratch_bytes(size_t in, size_t rows) {
    return sums_bytes(rows) + (round_up_to(rows, 16) + 1) * steps_of(in) + round_up_to(rows * sizeof(RowRange), 64);
  }

  HWY_INLINE static TileRows prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    const size_t steps = steps_of(in);
    std::byte* const tiles = scratch + sums_bytes(rows);
    std::byte* const row = tiles + round_up_to(rows, 16) * steps;
    auto* const ranges = reinterpret_cast<RowRange*>(row + steps);
    for (size_t r = 0; r < rows; ++r, a += a_stride) {
      ranges[r] = quantize_row(a, in, steps, reinterpret_cast<uint8_t*>(row));
      std::byte* to = tiles + r / 16 * 16 * steps + r % 16 * kTileUnitBytes;
      for (size_t k = 0; k < steps; k += kTileUnitBytes, to += kTileUnitSize)
        __builtin_memcpy(to, row + k, kTileUnitBytes);
    }
    return {tiles, steps / kTileUnitBytes, reinterpret_cast<float*>(scratch), ranges};
  }

  HWY_INLINE static void multiply(TileRows a, size_t rows, size_t in, const int8_t* panel, Target t) {
    const D d;
    const size_t steps = steps_of(in);
    const auto* scales = reinterpret_cast<const float*>(panel + steps * kColumns);
    const float* weight_sums = scales + kColumns;
    const auto finish = [&](size_t row, const float* sums) HWY_ATTR {
      const RowRange range = a.ranges[row];
      const V unit = hn::Set(d, range.unit), lowest = hn::Set(d, range.lowest);
      for (size_t n = 0; n < kTileColumns; n += kLanes) {
        const V offset = hn::Mul(lowest, hn::Load(d, weight_sums + n));
        const V sum = hn::ConvertTo(d, hn::BitCast(DI(), hn::Load(d, sums + n)));
        finish_sums(hn::MulAdd(sum, hn::Mul(unit, hn::Load(d, scales + n)), offset), t, row, n);
      }
    };
    multiply_block<Tiles, true>(a, rows, reinterpret_cast<const std::byte*>(panel),
                                (steps * kColumns + kPanelTail) / 64, t, finish);
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
