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
    const auto shifted = hn::BitCast(DI(), hn::ShiftRight<16>(rounded_bits(D(), x)));
    hn::StoreU(hn::DemoteTo(d16, shifted), d16, out + i * kLanes);
  }
}

// Two rows as sixteen pairs of bf16, `first` below: a row of a B tile.
HWY_INLINE void store_pairs(const Row& first, const Row& second, void* to) {
  const DU d;
  for (size_t i = 0; i < kParts; ++i) {
    const auto low = hn::ShiftRight<16>(rounded_bits(D(), first.part[i]));
    const auto high = hn::And(rounded_bits(D(), second.part[i]), hn::Set(d, 0xffff0000u));
    hn::Store(hn::Or(low, high), d, static_cast<uint32_t*>(to) + i * kLanes);
  }
}

HWY_INLINE Row exp2_row(const Row& x) {
  return make_row([&](size_t i) HWY_ATTR { return exp2_vector<3>(D(), x.part[i]); });
}

HWY_INLINE Row gelu_row(const Row& x) {
  return make_row([&](size_t i) HWY_ATTR { return gelu_short_vector(D(), x.part[i]); });
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
HWY_INLINE void transpose_tile(const uint32_t* from, uint32_t* to) { transpose_16x16(from, 16, to, 16); }

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
