// The int8 product on vector units: rows of activations quantized one by one to 8 bits without sign (their zero at
// 128), weights to signed 8 bits, each column by its largest. A 32-bit lane takes four neighbouring inputs. Behind a
// panel's weights stand its columns' scales, and what the zero at 128 adds to each column. Included once per target by
// kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;

// In plain 32-bit arithmetic, which every CPU has, and which the others must equal.
struct PlainByteDot {
  static constexpr int kWeightLimit = 127;
  static constexpr size_t kRows = kTileRows > 4 ? 4 : 2;
  HWY_INLINE static void accumulate(VI& sum, VI a, VI b) {
    const DI d;
    const VI low_byte = hn::Set(d, 255);
    sum = hn::Add(sum, hn::Mul(hn::And(a, low_byte), hn::ShiftRight<24>(hn::ShiftLeft<24>(b))));
    sum = hn::Add(sum, hn::Mul(hn::And(hn::ShiftRight<8>(a), low_byte), hn::ShiftRight<24>(hn::ShiftLeft<16>(b))));
    sum = hn::Add(sum, hn::Mul(hn::And(hn::ShiftRight<16>(a), low_byte), hn::ShiftRight<24>(hn::ShiftLeft<8>(b))));
    sum = hn::Add(sum, hn::Mul(hn::And(hn::ShiftRight<24>(a), low_byte), hn::ShiftRight<24>(b)));
  }
};

#if HWY_TARGET <= HWY_AVX3
struct VnniByteDot {  // VPDPBUSD: does not saturate
  static constexpr int kWeightLimit = 127;
  static constexpr size_t kRows = kTileRows;
  HWY_INLINE static void accumulate(VI& sum, VI a, VI b) {
    // By hand, since g++ wants the whole function compiled for avx512vnni otherwise.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  }
};
#elif HWY_TARGET <= HWY_AVX2
// VPMADDUBSW adds two products in 16 bits, and saturates. Weights of 7 bits leave room: 2 x 255 x 63 < 2^15.
struct Avx2ByteDot {
  static constexpr int kWeightLimit = 63;
  static constexpr size_t kRows = 4;  // x 2 vectors of sums, beside weights, activations and the pair of products
  HWY_INLINE static void accumulate(VI& sum, VI a, VI b) {
    const __m256i pairs = _mm256_maddubs_epi16(a.raw, b.raw);
    sum = hn::Add(sum, VI{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))});
  }
};
#endif

HWY_INLINE float largest_magnitude(const float* x, size_t n) {
  const D d;
  V largest_v = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) largest_v = hn::Max(largest_v, hn::Abs(hn::LoadU(d, x + i)));
  float largest = hn::GetLane(hn::MaxOfLanes(d, largest_v));
  for (; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// kRows x two vectors of sums over all inputs; scales, the zero at 128, bias and residual behind them.
template <class Dot, size_t kRows>
HWY_NOINLINE void byte_tile(const int8_t* a, size_t a_stride, size_t steps, const int8_t* panel, const Target& t) {
  const D d;
  const DI di;
  VI sum[kRows][2];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(di);
  const int8_t* HWY_RESTRICT b = panel;
  for (size_t k = 0; k < steps; k += 4, b += kTileColumns * 4) {
    const VI b0 = hn::Load(di, reinterpret_cast<const int32_t*>(b));
    const VI b1 = hn::Load(di, reinterpret_cast<const int32_t*>(b) + kLanes);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      int32_t four;
      __builtin_memcpy(&four, a + r * a_stride + k, 4);
      const VI x = hn::Set(di, four);
      Dot::accumulate(sum[r][0], x, b0);
      Dot::accumulate(sum[r][1], x, b1);
    }
  }
  const auto* scales = reinterpret_cast<const float*>(b);
  const auto* zeros = reinterpret_cast<const int32_t*>(scales + kTileColumns);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    float row_scale;
    __builtin_memcpy(&row_scale, a + r * a_stride + steps, 4);
    const V s = hn::Set(d, row_scale);
    for (size_t half = 0; half < 2; ++half) {
      const size_t n = half * kLanes;
      const V whole = hn::ConvertTo(d, hn::Sub(sum[r][half], hn::Load(di, zeros + n)));
      V value = hn::Mul(whole, hn::Mul(s, hn::Load(d, scales + n)));
      if (t.bias != nullptr) value = hn::Add(value, hn::Load(d, t.bias + n));
      if (t.residual != nullptr) value = hn::Add(value, hn::LoadU(d, t.residual + r * t.c_stride + n));
      hn::StoreU(value, d, t.c + r * t.c_stride + n);
    }
  }
}

template <class Dot>
struct ByteProduct {
  using Element = int8_t;
  static constexpr size_t kGroup = 4;
  static constexpr size_t kColumns = kTileColumns;
  static constexpr size_t kBlockRows = 8 * kTileRows;
  static constexpr size_t kPanelTail = kColumns * 8;  // bytes behind a panel's weights

  HWY_INLINE static void begin() {}
  HWY_INLINE static void end() {}
  HWY_INLINE static size_t steps_of(size_t in) { return round_up_to(in, 4); }
  static size_t scratch_bytes(size_t in, size_t rows) { return round_up_to(rows * row_stride(in), 64); }

  // Rows of weights quantized, each by its largest, and what stands behind the panel of columns [block, ..).
  static void pack_rows(const float* weight, size_t stride, size_t rows, size_t in, int8_t* out, size_t lanes,
                        size_t block, std::byte* panel) {
    const D d;
    const hn::Rebind<int8_t, D> d8;
    auto* scales = reinterpret_cast<float*>(panel + steps_of(in) * kColumns) + block;
    auto* zeros = reinterpret_cast<int32_t*>(scales + kColumns);
    for (size_t r = 0; r < kBlockColumns; ++r, out += lanes * 4) {
      std::fill_n(out, lanes * 4, int8_t{0});
      scales[r] = 0;
      zeros[r] = 0;
      if (r >= rows) continue;
      const float* row = weight + r * stride;
      const float largest = largest_magnitude(row, in), inverse = largest > 1e-30f ? Dot::kWeightLimit / largest : 0;
      size_t k = 0;
      for (; k + kLanes <= in; k += kLanes) {
        const VI q = hn::NearestInt(hn::Mul(hn::LoadU(d, row + k), hn::Set(d, inverse)));
        hn::StoreU(hn::DemoteTo(d8, q), d8, out + k);
      }
      for (; k < in; ++k) out[k] = static_cast<int8_t>(std::lrint(row[k] * inverse));
      scales[r] = largest / Dot::kWeightLimit;
      zeros[r] = 128 * std::accumulate(out, out + in, int32_t{0});
    }
  }

  HWY_INLINE static Rows<int8_t> prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    const D d;
    const DI di;
    const hn::Rebind<uint8_t, D> d8;
    const size_t stride = row_stride(in), steps = steps_of(in);
    auto* out = reinterpret_cast<uint8_t*>(scratch);
    for (size_t r = 0; r < rows; ++r, a += a_stride) {
      uint8_t* to = out + r * stride;
      const float largest = largest_magnitude(a, in), scale = largest / 127;
      const float inverse = largest > 1e-30f ? 127 / largest : 0;
      const V factor = hn::Set(d, inverse);
      size_t k = 0;
      for (; k + kLanes <= in; k += kLanes) {
        const VI q = hn::Add(hn::NearestInt(hn::Mul(hn::LoadU(d, a + k), factor)), hn::Set(di, 128));
        hn::StoreU(hn::DemoteTo(d8, q), d8, to + k);
      }
      for (; k < in; ++k) to[k] = static_cast<uint8_t>(std::lrint(a[k] * inverse) + 128);
      for (; k < steps; ++k) to[k] = 128;
      __builtin_memcpy(to + steps, &scale, 4);
    }
    return {reinterpret_cast<const int8_t*>(out), stride};
  }

  HWY_INLINE static void multiply(Rows<int8_t> a, size_t rows, size_t in, const int8_t* panel, Target t) {
    const size_t steps = steps_of(in);
    auto take = [&](auto count) {
      constexpr size_t kCount = decltype(count)::value;
      byte_tile<Dot, kCount>(a.data, a.stride, steps, panel, t);
      a.data += kCount * a.stride;
      t.c += kCount * t.c_stride;
      if (t.residual != nullptr) t.residual += kCount * t.c_stride;
      rows -= kCount;
    };
    while (rows >= Dot::kRows) take(std::integral_constant<size_t, Dot::kRows>());
    if constexpr (Dot::kRows > 8) {
      if (rows >= 8) take(std::integral_constant<size_t, 8>());
    }
    if constexpr (Dot::kRows > 4) {
      if (rows >= 4) take(std::integral_constant<size_t, 4>());
    }
    if constexpr (Dot::kRows > 2) {
      if (rows >= 2) take(std::integral_constant<size_t, 2>());
    }
    if (rows >= 1) take(std::integral_constant<size_t, 1>());
  }

 private:
  // Room for the scale behind the inputs; an odd number of cache lines, so that rows do not share cache sets.
  HWY_INLINE static size_t row_stride(size_t in) { return (round_up_to(steps_of(in) + 4, 64) / 64 | 1) * 64; }
};

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
