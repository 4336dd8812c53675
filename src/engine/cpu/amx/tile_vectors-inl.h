// Rows of sixteen fp32, which is what a row of a tile of sums is, and the functions that the epilogues and attention
// need at bf16's precision. Included once per target by tile_kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<D>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;

constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kParts = 16 / kLanes;

struct Row {
  V part[kParts];
};

template <class Function>
HWY_INLINE Row make_row(const Function& function) {
  Row row;
  for (size_t i = 0; i < kParts; ++i) row.part[i] = function(i);
  return row;
}

HWY_INLINE Row load(const float* p) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Load(D(), p + i * kLanes); });
}
HWY_INLINE void store(const Row& row, float* p) {
  for (size_t i = 0; i < kParts; ++i) hn::Store(row.part[i], D(), p + i * kLanes);
}
HWY_INLINE Row set(float value) {
  return make_row([&](size_t) HWY_ATTR { return hn::Set(D(), value); });
}
HWY_INLINE Row operator+(const Row& a, const Row& b) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Add(a.part[i], b.part[i]); });
}
HWY_INLINE Row operator-(const Row& a, const Row& b) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Sub(a.part[i], b.part[i]); });
}
HWY_INLINE Row operator*(const Row& a, const Row& b) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Mul(a.part[i], b.part[i]); });
}
HWY_INLINE Row operator/(const Row& a, const Row& b) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Div(a.part[i], b.part[i]); });
}
HWY_INLINE Row multiply_add(const Row& a, const Row& b, const Row& c) {
  return make_row([&](size_t i) HWY_ATTR { return hn::MulAdd(a.part[i], b.part[i], c.part[i]); });
}
HWY_INLINE Row from_int32(const Row& bits) {
  return make_row([&](size_t i) HWY_ATTR { return hn::ConvertTo(D(), hn::BitCast(DI(), bits.part[i])); });
}
// The first n lanes of a row, zeros after.
HWY_INLINE Row first_lanes(const Row& row, size_t n) {
  return make_row([&](size_t i) HWY_ATTR {
    const size_t here = n > i * kLanes ? std::min(n - i * kLanes, kLanes) : 0;
    return hn::IfThenElseZero(hn::FirstN(D(), here), row.part[i]);
  });
}
HWY_INLINE float sum_of(const Row& row) {
  V total = row.part[0];
  for (size_t i = 1; i < kParts; ++i) total = hn::Add(total, row.part[i]);
  return hn::GetLane(hn::SumOfLanes(D(), total));
}
// The sums of sixteen rows that lie one after the other.
HWY_INLINE Row sums_of_rows(const float* rows) {
#if HWY_TARGET <= HWY_AVX3
  V quarter[4];  // in each block of four lanes: those of four rows, over the same block of theirs
  for (size_t i = 0; i < 4; ++i, rows += 64) {
    const V a = hn::Load(D(), rows), b = hn::Load(D(), rows + 16), c = hn::Load(D(), rows + 32),
            d = hn::Load(D(), rows + 48);
    const V ab = hn::Add(hn::InterleaveLower(D(), a, b), hn::InterleaveUpper(D(), a, b));
    const V cd = hn::Add(hn::InterleaveLower(D(), c, d), hn::InterleaveUpper(D(), c, d));
    quarter[i] = hn::Add(V{_mm512_shuffle_ps(ab.raw, cd.raw, 0x44)}, V{_mm512_shuffle_ps(ab.raw, cd.raw, 0xee)});
  }
  const auto add_blocks = [](V a, V b) HWY_ATTR {
    return hn::Add(V{_mm512_shuffle_f32x4(a.raw, b.raw, 0x88)}, V{_mm512_shuffle_f32x4(a.raw, b.raw, 0xdd)});
  };
  return {add_blocks(add_blocks(quarter[0], quarter[1]), add_blocks(quarter[2], quarter[3]))};
#else
  HWY_ALIGN float sums[16];
  for (size_t r = 0; r < 16; ++r) sums[r] = sum_of(load(rows + r * 16));
  return load(sums);
#endif
}
// Whether the first n lanes are (no number is not).
HWY_INLINE bool all_between(const Row& row, size_t n, float low, float high) {
  size_t found = 0;
  for (size_t i = 0; i < kParts; ++i) {
    const auto here = hn::FirstN(D(), n > i * kLanes ? std::min(n - i * kLanes, kLanes) : 0);
    const auto inside = hn::And(hn::Ge(row.part[i], hn::Set(D(), low)), hn::Le(row.part[i], hn::Set(D(), high)));
    found += hn::CountTrue(D(), hn::And(inside, here));
  }
  return found == n;
}

// Sixteen bf16 as a row.
HWY_INLINE Row load_bf16(const void* from) {
  const hn::Rebind<uint16_t, D> d16;
  const auto* bits = static_cast<const uint16_t*>(from);
  return make_row([&](size_t i) HWY_ATTR {
    return hn::BitCast(D(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::Load(d16, bits + i * kLanes))));
  });
}
// Two rows as 32 bf16: a row of an A tile.
HWY_INLINE void store_bf16(const Row& low, const Row& high, void* to) {
#if HWY_TARGET <= HWY_AVX3
  // Not vcvtne2ps2bf16, which keeps the multipliers' port for two cycles.
  alignas(64) static constexpr uint16_t kUpperHalves[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                            23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                            45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  _mm512_store_si512(to, _mm512_permutex2var_epi16(half_up_bits(D(), low.part[0]).raw, _mm512_load_si512(kUpperHalves),
                                                   half_up_bits(D(), high.part[0]).raw));
#else
  const hn::Rebind<uint16_t, D> d16;
  auto* out = static_cast<uint16_t*>(to);
  for (size_t i = 0; i < 2 * kParts; ++i) {
    const V x = i < kParts ? low.part[i] : high.part[i - kParts];
    const auto shifted = hn::BitCast(DI(), hn::ShiftRight<16>(half_up_bits(D(), x)));
    hn::StoreU(hn::DemoteTo(d16, shifted), d16, out + i * kLanes);
  }
#endif
}

// Two rows as sixteen pairs of bf16, `first` below: a row of a B tile.
HWY_INLINE void store_pairs(const Row& first, const Row& second, void* to) {
  const DU d;
  for (size_t i = 0; i < kParts; ++i) {
    const auto low = hn::ShiftRight<16>(half_up_bits(D(), first.part[i]));
    const auto high = hn::And(half_up_bits(D(), second.part[i]), hn::Set(d, 0xffff0000u));
    hn::Store(hn::Or(low, high), d, static_cast<uint32_t*>(to) + i * kLanes);
  }
}

// The seven bits after the leading one of 2^(i / 128).
struct MantissaTable {
  alignas(64) uint8_t of[128];
  constexpr MantissaTable() : of() {
    double power = 1;
    for (int i = 0; i < 128; ++i, power *= 1.00542990111280282) of[i] = static_cast<uint8_t>(128 * (power - 1) + 0.5);
  }
};

// 2^(score / 128) of 32 scores as bf16, and onto `total` (lane by lane, two to a lane). The whole number nearest to the
// score is the exponent with, below it, what the table turns into the mantissa: with bf16's own rounding within 0.6 %
// and as often above as below. 0 from 2^-127 down; infinity, or no number, from 2^128 on. Scores from 2^31 on, which no
// model has, and NaN count as the smallest: a NaN reaches the context by the token's values or by all scores of its
// row.
HWY_INLINE void store_exp2(const Row& low, const Row& high, Row& total, void* to) {
  alignas(64) static constexpr MantissaTable kMantissas;
  constexpr int16_t kBias = 127 * 128;
#if HWY_TARGET <= HWY_AVX3
  alignas(64) static constexpr uint64_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};  // the pack goes by 128 bits
  const __m512i packed = _mm512_packs_epi32(_mm512_cvtps_epi32(low.part[0].raw), _mm512_cvtps_epi32(high.part[0].raw));
  const __m512i whole = _mm512_max_epi16(
      _mm512_adds_epi16(_mm512_permutexvar_epi64(_mm512_load_si512(kOrder), packed), _mm512_set1_epi16(kBias)),
      _mm512_setzero_si512());
  __m512i mantissa = whole;
  // By hand, since g++ wants the whole function compiled for avx512vbmi otherwise; CPUs with AMX have it.
  asm("vpermi2b %2, %1, %0"
      : "+v"(mantissa)
      : "v"(_mm512_load_si512(kMantissas.of)), "v"(_mm512_load_si512(kMantissas.of + 64)));
  const __m512i weights = _mm512_ternarylogic_epi32(_mm512_set1_epi16(0x7f), mantissa, whole, 0xca);  // a ? b : c
  _mm512_store_si512(to, weights);
  const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(weights, 16));
  const __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(weights, _mm512_set1_epi32(-65536)));
  total.part[0].raw = _mm512_add_ps(total.part[0].raw, _mm512_add_ps(even, odd));
#else
  HWY_ALIGN float scores[32];
  HWY_ALIGN float weights[32];
  store(low, scores);
  store(high, scores + 16);
  auto* out = static_cast<uint16_t*>(to);
  for (size_t i = 0; i < 32; ++i) {
    const float near = std::abs(scores[i]) < 1e9f ? std::clamp(std::nearbyint(scores[i]), -32768.0f, 32767.0f) : -32768;
    const int whole = std::clamp(static_cast<int>(near) + kBias, 0, 32767);
    out[i] = static_cast<uint16_t>((whole & ~0x7f) | kMantissas.of[whole & 0x7f]);
    const uint32_t bits = static_cast<uint32_t>(out[i]) << 16;
    __builtin_memcpy(&weights[i % 2 * 16 + i / 2], &bits, 4);
  }
  total = total + (load(weights) + load(weights + 16));
#endif
}

HWY_INLINE Row gelu_row(const Row& x) {
  return make_row([&](size_t i) HWY_ATTR { return gelu_short_vector(D(), x.part[i]); });
}

template <model::Activation kActivation>
HWY_INLINE Row activate(const Row& x) {
  if constexpr (kActivation == model::Activation::kGelu) return gelu_row(x);
  return make_row([&](size_t i) HWY_ATTR {
    if constexpr (kActivation == model::Activation::kGeluTanh) return gelu_tanh_vector(D(), x.part[i]);
    if constexpr (kActivation == model::Activation::kSilu) return silu_vector(D(), x.part[i]);
    return hn::Max(x.part[i], hn::Zero(D()));
  });
}

// A tile of 16 x 16 32-bit values, transposed.
HWY_INLINE void transpose_tile(const uint32_t* from, uint32_t* to) { transpose_16x16(from, 16, to, 16); }

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
