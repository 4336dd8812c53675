// Products on the tile unit (AMX) of rows of activations that lie one behind the other: for models whose other parts
// the tile kernels (amx/) do not compute, as decoders. Panels are those of the vector products, whose rows of 32-bit
// groups are what a tile of weights wants. Included once per target by kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kPanelTiles = kTileColumns / 16;  // of 16 columns
constexpr size_t kTileSums = 32 * kTileColumns;    // of two tiles of rows

// Two tiles of rows (or one) times a panel: sums [32][kTileColumns]. `step`: bytes of a row of a tile of activations.
template <class Tiles, bool kInt8>
HWY_INLINE void multiply_tiles(const std::byte* a, size_t stride, bool both, size_t bytes, const std::byte* panel,
                               void* sums) {
  constexpr size_t kPanelRow = kTileColumns * 4;
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
  const auto times = [&]<int kC, int kA, int kB>() HWY_ATTR {
    if constexpr (kInt8) {
      Tiles::template multiply_u8s8<kC, kA, kB>();
    } else {
      Tiles::template multiply_bf16<kC, kA, kB>();
    }
  };
  for (size_t k = 0; k < bytes; k += kTileUnitBytes, panel += 16 * kPanelRow) {
    Tiles::template load<6>(panel, kPanelRow);
    if constexpr (kPanelTiles == 2) Tiles::template load<7>(panel + 64, kPanelRow);
    Tiles::template load<4>(a + k, stride);
    times.template operator()<0, 4, 6>();
    if constexpr (kPanelTiles == 2) times.template operator()<1, 4, 7>();
    if (!both) continue;
    Tiles::template load<5>(a + 16 * stride + k, stride);
    times.template operator()<2, 5, 6>();
    if constexpr (kPanelTiles == 2) times.template operator()<3, 5, 7>();
  }
  auto* const to = static_cast<float*>(sums);
  Tiles::template store<0>(to, kPanelRow);
  if constexpr (kPanelTiles == 2) Tiles::template store<1>(to + 16, kPanelRow);
  if (!both) return;
  Tiles::template store<2>(to + 16 * kTileColumns, kPanelRow);
  if constexpr (kPanelTiles == 2) Tiles::template store<3>(to + 16 * kTileColumns + 16, kPanelRow);
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
  static constexpr size_t kBlockRows = 128;
  HWY_INLINE static void begin() { Tiles::configure(); }
  HWY_INLINE static void end() { Tiles::release(); }
  // Whole tiles are read: what is in rows behind the last goes nowhere.
  static size_t scratch_bytes(size_t in, size_t rows) { return Base::scratch_bytes(in, round_up_to(rows, 16)); }

  HWY_INLINE static void multiply(Rows<uint16_t> a, size_t rows, size_t in, const uint16_t* panel, Target t) {
    HWY_ALIGN float sums[kTileSums];
    for (size_t row = 0; row < rows; row += 32) {
      const size_t count = std::min<size_t>(32, rows - row);
      multiply_tiles<Tiles, false>(reinterpret_cast<const std::byte*>(a.data + row * a.stride), a.stride * 2,
                                   count > 16, steps_of(in) * 2, reinterpret_cast<const std::byte*>(panel), sums);
      for (size_t r = 0; r < count; ++r) {
        for (size_t n = 0; n < kTileColumns; n += kLanes)
          finish_sums(hn::Load(D(), sums + r * kTileColumns + n), t, row + r, n);
      }
    }
  }
};

// Of 64 inputs a step, summed in 32 bits.
struct TileByteDot : QuadDot {
  static constexpr size_t kInputs = 64;
};

template <class Tiles>
struct TileRowsInt8 : ByteProduct<TileByteDot> {
  using Base = ByteProduct<TileByteDot>;
  static constexpr size_t kBlockRows = 128;
  HWY_INLINE static void begin() { Tiles::configure(); }
  HWY_INLINE static void end() { Tiles::release(); }
  static size_t scratch_bytes(size_t in, size_t rows) { return Base::scratch_bytes(in, round_up_to(rows, 16)); }

  HWY_INLINE static void multiply(Rows<int8_t> a, size_t rows, size_t in, const int8_t* panel, Target t) {
    HWY_ALIGN int32_t sums[kTileSums];
    const D d;
    const size_t steps = steps_of(in);
    const auto* scales = reinterpret_cast<const float*>(panel + steps * kColumns);
    const float* weight_sums = scales + kColumns;
    for (size_t row = 0; row < rows; row += 32) {
      const size_t count = std::min<size_t>(32, rows - row);
      const int8_t* from = a.data + row * a.stride;
      multiply_tiles<Tiles, true>(reinterpret_cast<const std::byte*>(from), a.stride, count > 16, steps,
                                  reinterpret_cast<const std::byte*>(panel), sums);
      for (size_t r = 0; r < count; ++r) {
        RowRange range;
        __builtin_memcpy(&range, from + r * a.stride + steps, sizeof range);
        const V unit = hn::Set(d, range.unit), lowest = hn::Set(d, range.lowest);
        for (size_t n = 0; n < kTileColumns; n += kLanes) {
          const V offset = hn::Mul(lowest, hn::Load(d, weight_sums + n));
          const V sum = hn::ConvertTo(d, hn::Load(DI(), sums + r * kTileColumns + n));
          finish_sums(hn::MulAdd(sum, hn::Mul(unit, hn::Load(d, scales + n)), offset), t, row + r, n);
        }
      }
    }
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
