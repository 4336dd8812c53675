// Rows of sixteen fp32, which is what a row of a tile of sums is, and the functions that the epilogues and attention
// need at bf16's precision. Included once per target by tile_kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
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
HWY_INLINE Row multiply_add(const Row& a, const Row& b, const Row& c) {
  return make_row([&](size_t i) HWY_ATTR { return hn::MulAdd(a.part[i], b.part[i], c.part[i]); });
}
HWY_INLINE Row largest_of(const Row& a, const Row& b) {
  return make_row([&](size_t i) HWY_ATTR { return hn::Max(a.part[i], b.part[i]); });
}
HWY_INLINE Row from_int32(const Row& bits) {
  return make_row([&](size_t i) HWY_ATTR { return hn::ConvertTo(D(), hn::BitCast(DI(), bits.part[i])); });
}
// The first n lanes of a row, zeros behind.
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
HWY_INLINE float max_of(const Row& row) {
  V largest = row.part[0];
  for (size_t i = 1; i < kParts; ++i) largest = hn::Max(largest, row.part[i]);
  return hn::GetLane(hn::MaxOfLanes(D(), largest));
}

// bf16 in the upper half of each lane, to nearest, ties to even.
HWY_INLINE hn::Vec<DU> rounded_bits(V x) {
  const DU d;
  const auto bits = hn::BitCast(d, x);
  return hn::Add(bits, hn::Add(hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1)), hn::Set(d, 0x7fffu)));
}

// Two rows as 32 bf16: a row of an A tile.
template <class Tiles>
HWY_INLINE void store_bf16(const Row& low, const Row& high, void* to) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (Tiles::kHardware) {
    __m512 packed;
    // By hand, since g++ wants the whole function compiled for avx512bf16 otherwise.
    asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(packed) : "v"(high.part[0].raw), "v"(low.part[0].raw));
    _mm512_store_ps(to, packed);
    return;
  }
#endif
  const hn::Rebind<uint16_t, D> d16;
  auto* out = static_cast<uint16_t*>(to);
  for (size_t i = 0; i < 2 * kParts; ++i) {
    const V x = i < kParts ? low.part[i] : high.part[i - kParts];
    const auto shifted = hn::BitCast(DI(), hn::ShiftRight<16>(rounded_bits(x)));
    hn::StoreU(hn::DemoteTo(d16, shifted), d16, out + i * kLanes);
  }
}

// Two rows as sixteen pairs of bf16, `first` below: a row of a B tile.
HWY_INLINE void store_pairs(const Row& first, const Row& second, void* to) {
  const DU d;
  for (size_t i = 0; i < kParts; ++i) {
    const auto low = hn::ShiftRight<16>(rounded_bits(first.part[i]));
    const auto high = hn::And(rounded_bits(second.part[i]), hn::Set(d, 0xffff0000u));
    hn::Store(hn::Or(low, high), d, static_cast<uint32_t*>(to) + i * kLanes);
  }
}

// 2^x within 8e-5 relative, which bf16 does not see; infinity (or NaN) from 128 on, 0 far below -126.
HWY_INLINE Row exp2_row(const Row& x) {
  return make_row([&](size_t i) HWY_ATTR {
    const D d;
    // Of what lies behind the whole number below x.
    constexpr float kExp2[] = {9.999251935e-01f, 6.958335051e-01f, 2.260678928e-01f, 7.802368959e-02f};
#if HWY_TARGET <= HWY_AVX3
    const V r = V{_mm512_reduce_ps(x.part[i].raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
    return V{_mm512_scalef_ps(horner(d, r, kExp2, 3).raw, x.part[i].raw)};
#else
    const V clamped = hn::Min(hn::Max(x.part[i], hn::Set(d, -127.0f)), hn::Set(d, 128.0f));
    const V n = hn::Floor(clamped);
    const V p = horner(d, hn::Sub(clamped, n), kExp2, 3);
    const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(DI(), n), hn::Set(DI(), 127)));
    return hn::Mul(p, hn::BitCast(d, power));
#endif
  });
}

// x Phi(x) within 8e-5 absolute: Phi(x) - 1/2 is odd, c Q(c^2 2 / 4.5^2 - 1) for |c| <= 4.5.
HWY_INLINE Row gelu_row(const Row& x) {
  return make_row([&](size_t i) HWY_ATTR {
    const D d;
    constexpr float kPhi[] = {1.569092011e-01f, -7.719386095e-02f, 5.460541989e-02f, -4.010921159e-02f,
                              2.905009692e-02f, -1.902094059e-02f, 9.293961459e-03f, -5.251548121e-03f,
                              5.168008903e-03f, -2.340015935e-03f};
    const V c = hn::Min(hn::Max(x.part[i], hn::Set(d, -4.5f)), hn::Set(d, 4.5f));
    const V t = hn::MulSub(hn::Mul(c, c), hn::Set(d, 2 / (4.5f * 4.5f)), hn::Set(d, 1.0f));
    return hn::Mul(x.part[i], hn::MulAdd(c, horner(d, t, kPhi, 9), hn::Set(d, 0.5f)));
  });
}

template <Activation kActivation>
HWY_INLINE Row activate(const Row& x) {
  if constexpr (kActivation == Activation::kGelu) return gelu_row(x);
  return make_row([&](size_t i) HWY_ATTR {
    if constexpr (kActivation == Activation::kGeluTanh) return gelu_tanh_vector(D(), x.part[i]);
    if constexpr (kActivation == Activation::kSilu) return silu_vector(D(), x.part[i]);
    return hn::Max(x.part[i], hn::Zero(D()));
  });
}

// A tile of 16 x 16 32-bit values, transposed.
HWY_INLINE void transpose_tile(const uint32_t* from, uint32_t* to) {
#if HWY_TARGET <= HWY_AVX3
  __m512i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm512_load_si512(from + 16 * i);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_epi32(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_epi32(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
    a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
    a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {  // 128-bit blocks: columns i, i + 4, i + 8, i + 12 of four rows each
    const __m512i low = _mm512_shuffle_i32x4(a[i], a[i + 4], 0x88), high = _mm512_shuffle_i32x4(a[i], a[i + 4], 0xdd);
    const __m512i low2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0x88);
    const __m512i high2 = _mm512_shuffle_i32x4(a[i + 8], a[i + 12], 0xdd);
    _mm512_store_si512(to + 16 * i, _mm512_shuffle_i32x4(low, low2, 0x88));
    _mm512_store_si512(to + 16 * (i + 8), _mm512_shuffle_i32x4(low, low2, 0xdd));
    _mm512_store_si512(to + 16 * (i + 4), _mm512_shuffle_i32x4(high, high2, 0x88));
    _mm512_store_si512(to + 16 * (i + 12), _mm512_shuffle_i32x4(high, high2, 0xdd));
  }
#else
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 16; ++j) to[16 * j + i] = from[16 * i + j];
  }
#endif
}

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
