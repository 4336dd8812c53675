// The bf16 product on AMX tiles: 32 rows x 32 columns in four tiles of sums, 32 inputs a step. A is read from row-major
// bf16 rows and B from the same panels as VDPBF16PS reads: [in / 2][columns][2], one tile every second row of 128
// bytes.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class Tiles>
struct AmxProduct {
  using Element = uint16_t;
  static constexpr size_t kGroup = 2;
  static constexpr size_t kBlockRows = 256;
  static constexpr size_t kColumns = 32;  // of a panel: two tiles
  static constexpr size_t kTileBlock = 2 * kTileUnitRows;
  static constexpr size_t kAttentionRows = kTileBlock;

  HWY_INLINE static void begin() { Tiles::configure(); }
  HWY_INLINE static void end() { Tiles::release(); }

  HWY_INLINE static size_t steps_of(size_t in) { return round_up_to(in, 32); }
  HWY_INLINE static uint16_t convert(float x) { return to_bf16(x); }
  static size_t scratch_bytes(size_t in, size_t rows) {
    return kSumBytes + round_up_to(rows, kTileBlock) * steps_of(in) * 2;
  }

  HWY_INLINE static Rows<uint16_t> prepare(const float* a, size_t a_stride, size_t rows, size_t in,
                                           std::byte* scratch) {
    auto* out = reinterpret_cast<uint16_t*>(scratch + kSumBytes);
    convert_rows(a, a_stride, rows, in, out, steps_of(in), round_up_to(rows, kTileBlock));
    return {out, steps_of(in)};
  }

  HWY_INLINE static void multiply(Rows<uint16_t> a, size_t rows, size_t in, const uint16_t* panel, Target t,
                                  std::byte* scratch) {
    auto* sums = reinterpret_cast<float*>(scratch);
    const size_t steps = steps_of(in);
    const size_t a_bytes = a.stride * 2;
    for (size_t row = 0; row < rows; row += kTileBlock) {
      const bool two = rows - row > kTileUnitRows;  // the lower pair of tiles holds rows that are wanted
      const uint16_t* upper = a.data + row * a.stride;
      const uint16_t* lower = upper + kTileUnitRows * a.stride;
      const uint16_t* b = panel;
      Tiles::template zero<0>();
      Tiles::template zero<1>();
      if (two) {
        Tiles::template zero<2>();
        Tiles::template zero<3>();
      }
      for (size_t k = 0; k < steps; k += 32, b += 32 * kColumns) {
        Tiles::template load<6>(b, kColumns * 4);
        Tiles::template load<7>(b + kColumns, kColumns * 4);
        Tiles::template load_stream<4>(upper + k, a_bytes);
        Tiles::template multiply_bf16<0, 4, 6>();
        Tiles::template multiply_bf16<1, 4, 7>();
        if (!two) continue;
        Tiles::template load_stream<5>(lower + k, a_bytes);
        Tiles::template multiply_bf16<2, 5, 6>();
        Tiles::template multiply_bf16<3, 5, 7>();
      }
      Tiles::template store<0>(sums, kColumns * 4);
      Tiles::template store<1>(sums + 16, kColumns * 4);
      if (two) {
        Tiles::template store<2>(sums + kTileUnitRows * kColumns, kColumns * 4);
        Tiles::template store<3>(sums + kTileUnitRows * kColumns + 16, kColumns * 4);
      }
      add_out(sums, std::min(kTileBlock, rows - row), row, t);
    }
  }

 private:
  static constexpr size_t kSumBytes = kTileBlock * kColumns * sizeof(float);

  HWY_INLINE static void add_out(const float* sums, size_t rows, size_t first, const Target& t) {
    const D d;
    for (size_t r = 0; r < rows; ++r) {
      const size_t at = (first + r) * t.c_stride;
      for (size_t n = 0; n < kColumns; n += kLanes) {
        V v = hn::Load(d, sums + r * kColumns + n);
        if (t.bias != nullptr) v = hn::Add(v, hn::Load(d, t.bias + n));
        if (t.residual != nullptr) v = hn::Add(v, hn::LoadU(d, t.residual + at + n));
        hn::StoreU(v, d, t.c + at + n);
      }
    }
  }
};

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
