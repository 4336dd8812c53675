// The int8 product on vector units: rows of activations quantized one by one to 8 bits without sign, between their
// smallest and their largest value, weights to signed 8 bits, each column by its largest or by what its sums leave room
// for. A 32-bit lane takes four neighbouring inputs. After a panel's weights stand its columns' scales, and the sums
// of their weights. Included once per target by kernels.cc.
//
// A policy has
//   kInputs         inputs of a step
//   kRows           rows of a register tile
//   broadcast(..)   a step's inputs of a row
//   load(..)        those of a vector of columns
//   accumulate(..)  their products onto sums of 32 bits
//   unit_of(..)     what one unit of a quantized row of weights is worth, for room in the sums
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;

HWY_INLINE float largest_magnitude(const float* x, size_t n) {
  const D d;
  V largest_v = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) largest_v = hn::Max(largest_v, hn::Abs(hn::LoadU(d, x + i)));
  float largest = hn::GetLane(hn::MaxOfLanes(d, largest_v));
  for (; i < n; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// Four inputs a step, summed in 32 bits.
struct QuadDot {
  static constexpr size_t kInputs = 4;
  HWY_INLINE static VI broadcast(const int8_t* a) {
    int32_t four;
    __builtin_memcpy(&four, a, 4);
    return hn::Set(DI(), four);
  }
  HWY_INLINE static VI load(const int8_t* b) { return hn::Load(DI(), reinterpret_cast<const int32_t*>(b)); }
  static float unit_of(const float* row, size_t in) { return largest_magnitude(row, in) / 127; }
};

// In plain 32-bit arithmetic, which every CPU has, and which the others must equal.
struct PlainByteDot : QuadDot {
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
struct VnniByteDot : QuadDot {  // VPDPBUSD: does not saturate
  static constexpr size_t kRows = kTileRows;
  HWY_INLINE static void accumulate(VI& sum, VI a, VI b) {
    // By hand, since g++ wants the whole function compiled for avx512vnni otherwise.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  }
};
#elif HWY_TARGET <= HWY_AVX2
// VPMADDUBSW adds two products in 16 bits, and saturates there. Two of its results are added before they are widened,
// which spares a quarter of the multiplier's work: four products of one sum, each of an activation of 255 at most. So a
// row of weights is scaled until no four such weights exceed 128 together, either sign by itself: 255 x 128 < 2^15.
// For weights that are spread normally that leaves them +-70 to +-80, more than the 7 bits for which any two would fit.
struct Avx2ByteDot {
  using Four = int8_t[4];
  struct Inputs {  // of a row
    __m256i first, second;
  };
  static constexpr size_t kInputs = 8;
  static constexpr size_t kRows = 4;  // x 2 vectors of sums, beside weights, activations and the pair of products
  HWY_INLINE static Inputs broadcast(const int8_t* a) {
    Inputs inputs;  // by hand: g++ would rather go through integer registers
    asm("vpbroadcastd %1, %0" : "=x"(inputs.first) : "m"(*reinterpret_cast<const Four*>(a)));
    asm("vpbroadcastd %1, %0" : "=x"(inputs.second) : "m"(*reinterpret_cast<const Four*>(a + 4)));
    return inputs;
  }
  HWY_INLINE static const __m256i* load(const int8_t* b) { return reinterpret_cast<const __m256i*>(b); }
  HWY_INLINE static void accumulate(VI& sum, Inputs a, const __m256i* b) {
    // By hand, with weights from memory: g++ loads them all first, and then lacks registers for the sums. The columns
    // of a panel fill two vectors, so the next four inputs' begin after those.
    __m256i pairs, others;
    asm("vpmaddubsw %[b0], %[a0], %[pairs]\n\t"
        "vpmaddubsw %[b1], %[a1], %[others]\n\t"
        "vpaddw %[others], %[pairs], %[pairs]\n\t"
        "vpmaddwd %[ones], %[pairs], %[pairs]\n\t"
        "vpaddd %[pairs], %[sum], %[sum]"
        : [sum] "+x"(sum.raw), [pairs] "=&x"(pairs), [others] "=&x"(others)
        : [a0] "x"(a.first), [a1] "x"(a.second), [b0] "m"(b[0]), [b1] "m"(b[2]), [ones] "x"(_mm256_set1_epi16(1)));
  }
  static float unit_of(const float* row, size_t in) {
    constexpr size_t kInSum[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};
    constexpr float kMost = 126;  // rounding adds a half to each of the four
    float most = largest_magnitude(row, in) * (kMost / 127);
    for (size_t k = 0; k < in; k += kInputs) {
      for (const auto& inputs : kInSum) {
        float above = 0, below = 0;
        for (size_t i : inputs) {
          const float w = k + i < in ? row[k + i] : 0;
          (w > 0 ? above : below) += w;
        }
        most = std::max({most, above, -below});
      }
    }
    return most / kMost;
  }
};
#endif

struct Ends {
  float lowest, highest;
};
HWY_INLINE Ends ends_of(const float* x, size_t n) {
  const D d;
  float lowest = x[0], highest = x[0];
  size_t i = 0;
  if (n >= kLanes) {
    V low = hn::LoadU(d, x), high = low;
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      const V v = hn::LoadU(d, x + i);
      low = hn::Min(low, v);
      high = hn::Max(high, v);
    }
    lowest = hn::GetLane(hn::MinOfLanes(d, low));
    highest = hn::GetLane(hn::MaxOfLanes(d, high));
  }
  for (; i < n; ++i) {
    lowest = std::min(lowest, x[i]);
    highest = std::max(highest, x[i]);
  }
  return {lowest, highest};
}

// kRows x two vectors of sums over all inputs; scales, lowest values, bias and residual after them. `next`: what this
// tile prefetches, one of kTiles.
template <class Dot, size_t kRows, size_t kTiles>
HWY_NOINLINE void byte_tile(const int8_t* a, size_t a_stride, size_t steps, const int8_t* panel, const int8_t* next,
                            const Target& t) {
  const D d;
  const DI di;
  VI sum[kRows][2];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(di);
  const int8_t* HWY_RESTRICT b = panel;
  in_spans<kTiles>(
      steps, next, [&](size_t first, size_t n) HWY_ATTR __attribute__((always_inline)) {
        for (size_t k = first; k < first + n; k += Dot::kInputs, b += kTileColumns * Dot::kInputs) {
          const auto b0 = Dot::load(b), b1 = Dot::load(b + kLanes * 4);
#pragma GCC unroll 16
          for (size_t r = 0; r < kRows; ++r) {
            const auto x = Dot::broadcast(a + r * a_stride + k);
            Dot::accumulate(sum[r][0], x, b0);
            Dot::accumulate(sum[r][1], x, b1);
          }
        }
      });
  const auto* scales = reinterpret_cast<const float*>(b);
  const float* sums = scales + kTileColumns;
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    RowRange range;
    __builtin_memcpy(&range, a + r * a_stride + steps, sizeof range);
    const V unit = hn::Set(d, range.unit), lowest = hn::Set(d, range.lowest);
    for (size_t half = 0; half < 2; ++half) {
      const size_t n = half * kLanes;
      V value = hn::Mul(lowest, hn::Load(d, sums + n));
      value = hn::MulAdd(hn::ConvertTo(d, sum[r][half]), hn::Mul(unit, hn::Load(d, scales + n)), value);
      if (t.bias != nullptr) value = hn::Add(value, hn::Load(d, t.bias + n));
      if (t.residual != nullptr) value = hn::Add(value, hn::LoadU(d, t.residual + r * t.c_stride + n));
      hn::StoreU(value, d, t.c + r * t.c_stride + n);
    }
  }
}

// A row of activations as bytes, zeros up to `steps`, and what they mean.
HWY_INLINE RowRange quantize_row(const float* a, size_t in, size_t steps, uint8_t* to) {
  const D d;
  const hn::Rebind<uint8_t, D> d8;
  const auto [lowest, highest] = ends_of(a, in);
  const float width = highest - lowest, inverse = width > 1e-30f ? 255 / width : 0;
  const V factor = hn::Set(d, inverse), offset = hn::Set(d, -lowest * inverse);
  size_t k = 0;
  for (; k + kLanes <= in; k += kLanes) {
    const VI q = hn::NearestInt(hn::MulAdd(hn::LoadU(d, a + k), factor, offset));
    hn::StoreU(hn::DemoteTo(d8, q), d8, to + k);
  }
  for (; k < in; ++k) {
    to[k] = static_cast<uint8_t>(std::clamp(std::lrint((a[k] - lowest) * inverse), 0L, 255L));
  }
  for (; k < steps; ++k) to[k] = 0;
  return {width / 255, lowest};
}

template <class Dot>
struct ByteProduct {
  using Element = int8_t;
  static constexpr size_t kGroup = 4;
  static constexpr size_t kColumns = kTileColumns;
  static constexpr size_t kBlockRows = kBlockTiles * kTileRows;
  static constexpr size_t kPanelTail = kColumns * 8;  // bytes after a panel's weights

  HWY_INLINE static void begin() {}
  HWY_INLINE static void end() {}
  static size_t block_rows(size_t) { return kBlockRows; }
  HWY_INLINE static size_t steps_of(size_t in) { return round_up_to(in, Dot::kInputs); }
  static size_t scratch_bytes(size_t in, size_t rows) { return round_up_to(rows * row_stride(in), 64); }

  // Rows of weights quantized, each in its own unit, and what stands after the panel of columns [block, ..).
  static void pack_rows(const float* weight, size_t stride, size_t rows, size_t in, int8_t* out, size_t lanes,
                        size_t block, std::byte* panel) {
    const D d;
    const hn::Rebind<int8_t, D> d8;
    auto* scales = reinterpret_cast<float*>(panel + steps_of(in) * kColumns) + block;
    float* const sums = scales + kColumns;
    for (size_t r = 0; r < kBlockColumns; ++r, out += lanes * 4) {
      std::fill_n(out, lanes * 4, int8_t{0});
      scales[r] = 0;
      sums[r] = 0;
      if (r >= rows) continue;
      const float* row = weight + r * stride;
      const float unit = Dot::unit_of(row, in), inverse = unit > 1e-32f ? 1 / unit : 0;
      size_t k = 0;
      for (; k + kLanes <= in; k += kLanes) {
        const VI q = hn::NearestInt(hn::Mul(hn::LoadU(d, row + k), hn::Set(d, inverse)));
        hn::StoreU(hn::DemoteTo(d8, q), d8, out + k);
      }
      for (; k < in; ++k) out[k] = static_cast<int8_t>(std::lrint(row[k] * inverse));
      scales[r] = unit;
      sums[r] = unit * static_cast<float>(std::accumulate(out, out + in, int32_t{0}));
    }
  }

  HWY_INLINE static Rows<int8_t> prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    const size_t stride = row_stride(in), steps = steps_of(in);
    auto* out = reinterpret_cast<uint8_t*>(scratch);
    for (size_t r = 0; r < rows; ++r, a += a_stride) {
      const RowRange range = quantize_row(a, in, steps, out + r * stride);
      __builtin_memcpy(out + r * stride + steps, &range, sizeof range);
    }
    return {reinterpret_cast<const int8_t*>(out), stride};
  }

  HWY_INLINE static void multiply(Rows<int8_t> a, size_t rows, size_t in, const int8_t* panel, Target t) {
    const size_t steps = steps_of(in);
    constexpr size_t kTiles = kBlockRows / Dot::kRows;
    const int8_t* next = panel + steps * kColumns + kPanelTail;
    auto take = [&](auto count) {
      constexpr size_t kCount = decltype(count)::value;
      byte_tile<Dot, kCount, kTiles>(a.data, a.stride, steps, panel, next, t);
      next += steps * kColumns / kTiles;
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
  // Room for the range after the inputs; an odd number of cache lines, so that rows do not share cache sets.
  HWY_INLINE static size_t row_stride(size_t in) {
    return (round_up_to(steps_of(in) + sizeof(RowRange), 64) / 64 | 1) * 64;
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
