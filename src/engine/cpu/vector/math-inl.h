// exp, erf and GELU on Highway vectors. Included once per instruction tier by kernels.cc.
// The polynomials come from tools/kernels/fit_functions.py, which also measures their errors.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE V horner(D d, V t, const float* coefficients, int degree) {
  V value = hn::Set(d, coefficients[degree]);
  for (int i = degree - 1; i >= 0; --i) value = hn::MulAdd(value, t, hn::Set(d, coefficients[i]));
  return value;
}

// kCount coefficients, a power of two, in pairs and pairs of pairs (Estrin): the chain of operations that wait for one
// another is a quarter as long as Horner's for 16, so that fewer vectors have to be in flight to fill the multipliers.
template <size_t kCount, class D, class V>
HWY_INLINE V estrin(D d, V t, const float* coefficients) {
  V part[kCount / 2];
#pragma GCC unroll 8
  for (size_t i = 0; i < kCount / 2; ++i) {
    part[i] = hn::MulAdd(t, hn::Set(d, coefficients[2 * i + 1]), hn::Set(d, coefficients[2 * i]));
  }
#pragma GCC unroll 3
  for (size_t left = kCount / 4; left > 0; left /= 2) {
    t = hn::Mul(t, t);
#pragma GCC unroll 4
    for (size_t i = 0; i < left; ++i) part[i] = hn::MulAdd(part[2 * i + 1], t, part[2 * i]);
  }
  return part[0];
}

// bf16 in the upper half of each lane, to nearest, ties to even.
template <class D, class V>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> rounded_bits(D, V x) {
  const hn::RebindToUnsigned<D> d;
  const auto bits = hn::BitCast(d, x);
  return hn::Add(bits, hn::Add(hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1)), hn::Set(d, 0x7fffu)));
}

// The same, but ties away from zero: one operation instead of four.
template <class D, class V>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> half_up_bits(D, V x) {
  const hn::RebindToUnsigned<D> d;
  return hn::Add(hn::BitCast(d, x), hn::Set(d, 0x8000u));
}

// e^x within 1.2e-7 relative for x <= 88; 0 below -87.3 (where fp32 would be subnormal).
template <class D, class V>
HWY_INLINE V exp_vector(D d, V x) {
  const hn::RebindToSigned<D> di;
  constexpr float kExp[] = {1.000000000e+00f, 1.000000038e+00f, 5.000000108e-01f, 1.666641548e-01f,
                            4.166621827e-02f, 8.375128890e-03f, 1.394858082e-03f};
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -87.3f)), hn::Set(d, 88.0f));
  const V n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  // ln 2 in two parts, so that n ln 2 loses nothing.
  V r = hn::NegMulAdd(n, hn::Set(d, 6.93145752e-01f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, 1.42860677e-06f), r);
  const V p = horner(d, r, kExp, 6);
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  const V value = hn::Mul(p, hn::BitCast(d, power));
  return hn::IfThenElseZero(hn::Ge(x, hn::Set(d, -87.3f)), value);
}

// 2^x: of degree 3 within 8e-5 relative, which bf16 does not see, of degree 5 within 2e-7; infinity (or NaN) from 128
// on, 0 far below -126.
template <int kDegree, class D, class V>
HWY_INLINE V exp2_vector(D d, V x) {
  static_assert(kDegree == 3 || kDegree == 5);
  // Of what lies after the whole number below x.
  constexpr float kCubic[] = {9.999251935e-01f, 6.958335051e-01f, 2.260678928e-01f, 7.802368959e-02f};
  constexpr float kQuintic[] = {9.999999251e-01f, 6.931530732e-01f, 2.401536172e-01f,
                                5.582631751e-02f, 8.989340732e-03f, 1.877576410e-03f};
  const float* coefficients = kDegree == 3 ? kCubic : kQuintic;
#if HWY_TARGET <= HWY_AVX3
  const V r = V{_mm512_reduce_ps(x.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
  return V{_mm512_scalef_ps(horner(d, r, coefficients, kDegree).raw, x.raw)};
#else
  const hn::RebindToSigned<D> di;
  const V clamped = hn::Min(hn::Max(x, hn::Set(d, -127.0f)), hn::Set(d, 128.0f));
  const V n = hn::Floor(clamped);
  const V p = horner(d, hn::Sub(clamped, n), coefficients, kDegree);
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, power));
#endif
}

// erf(x) within 3e-7 absolute: x Q(x^2 / 8 - 1) for |x| <= 4, +-1 beyond.
template <class D, class V>
HWY_INLINE V erf_vector(D d, V x) {
  constexpr float kErf[] = {3.535309782e-01f, -1.765761719e-01f, 1.316773312e-01f, -1.077133612e-01f,
                            9.016311718e-02f, -7.468753070e-02f, 6.024739754e-02f, -4.601432136e-02f,
                            3.167934270e-02f, -2.166253227e-02f, 1.718848412e-02f, -1.008590696e-02f,
                            1.700600699e-03f, -1.076942115e-03f, 3.002311011e-03f, -1.372815087e-03f};
  const V limit = hn::Set(d, 4.0f);
  const V c = hn::Min(hn::Max(x, hn::Neg(limit)), limit);
  const V t = hn::MulSub(hn::Mul(c, c), hn::Set(d, 0.125f), hn::Set(d, 1.0f));
  const V one = hn::Set(d, 1.0f);
  return hn::Min(hn::Max(hn::Mul(c, estrin<16>(d, t, kErf)), hn::Neg(one)), one);
}

template <class D, class V>
HWY_INLINE V gelu_vector(D d, V x) {
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, erf_vector(d, hn::Mul(x, hn::Set(d, 0.70710678f))), half);
}

// GELU within 7.6e-5 absolute: x / 2 (1 + c Q(2 c^2 / 4.2^2 - 1)) with c = x within +-4.2, where c Q is 1.
template <class D, class V>
HWY_INLINE V gelu_polynomial_vector(D d, V x) {
  constexpr float kErf[] = {3.357091172e-01f, -1.631429516e-01f, 1.118974228e-01f, -7.585236631e-02f,
                            4.755545725e-02f, -3.293439096e-02f, 2.235149290e-02f, -7.488543318e-03f};
  const V c = hn::Min(hn::Max(x, hn::Set(d, -4.2f)), hn::Set(d, 4.2f));
  const V t = hn::MulSub(hn::Mul(c, c), hn::Set(d, 2 / (4.2f * 4.2f)), hn::Set(d, 1.0f));
  const V half = hn::Mul(x, hn::Set(d, 0.5f));
  return hn::MulAdd(half, hn::Mul(c, estrin<8>(d, t, kErf)), half);
}

// GELU within 1e-4 absolute, which bf16 hardly sees: c0 + c1 x + c2 x^2 with numbers of their own for each of 31 pieces
// of the line, the two ends being 0 and x. On AVX-512 they are looked up by permutations, which run beside the
// multipliers; beside tile products these do one operation a cycle instead of two, and a polynomial has fifteen.
constexpr float kGeluReach = 4.24f, kGeluScale = 15 / kGeluReach;
HWY_ALIGN constexpr float kGeluPieces[3][32] = {
    {0.0000000e+00f,  0.0000000e+00f,  -1.9809544e-02f, -4.3150128e-02f, -8.4757435e-02f, -1.4950645e-01f,
     -2.3556411e-01f, -3.2920675e-01f, -4.0419832e-01f, -4.3019712e-01f, -3.8917693e-01f, -2.9023433e-01f,
     -1.6947100e-01f, -7.0275954e-02f, -1.6537734e-02f, -1.0097840e-03f, 0.0000000e+00f,  -1.0097840e-03f,
     -1.6537734e-02f, -7.0275954e-02f, -1.6947100e-01f, -2.9023433e-01f, -3.8917693e-01f, -4.3019712e-01f,
     -4.0419832e-01f, -3.2920675e-01f, -2.3556411e-01f, -1.4950645e-01f, -8.4757435e-02f, -4.3150128e-02f,
     -1.9809544e-02f, 0.0000000e+00f},
    {0.0000000e+00f,  0.0000000e+00f,  -9.3277012e-03f, -2.1611549e-02f, -4.5252570e-02f, -8.5221550e-02f,
     -1.4335736e-01f, -2.1317703e-01f, -2.7546197e-01f, -2.9947203e-01f, -2.5384833e-01f, -1.2528306e-01f,
     6.5749312e-02f,  2.6667710e-01f,  4.1787891e-01f,  4.8884681e-01f,  5.0000000e-01f,  5.1115319e-01f,
     5.8212109e-01f,  7.3332290e-01f,  9.3425069e-01f,  1.1252831e+00f,  1.2538483e+00f,  1.2994720e+00f,
     1.2754620e+00f,  1.2131770e+00f,  1.1433574e+00f,  1.0852216e+00f,  1.0452526e+00f,  1.0216115e+00f,
     1.0093277e+00f,  1.0000000e+00f},
    {0.0000000e+00f,  0.0000000e+00f,  -1.1017025e-03f, -2.7180720e-03f, -6.0766501e-03f, -1.2245685e-02f,
     -2.2065813e-02f, -3.5083101e-02f, -4.8019492e-02f, -5.3562127e-02f, -4.0875382e-02f, 9.1362960e-04f,
     7.6535587e-02f,  1.7845560e-01f,  2.8516057e-01f,  3.6690800e-01f,  3.9783838e-01f,  3.6690800e-01f,
     2.8516057e-01f,  1.7845560e-01f,  7.6535587e-02f,  9.1362960e-04f,  -4.0875382e-02f, -5.3562127e-02f,
     -4.8019492e-02f, -3.5083101e-02f, -2.2065813e-02f, -1.2245685e-02f, -6.0766501e-03f, -2.7180720e-03f,
     -1.1017025e-03f, 0.0000000e+00f}};

template <class D, class V>
HWY_INLINE V gelu_short_vector(D d, V x) {
#if HWY_TARGET <= HWY_AVX3
  // The smaller magnitude with the sign of x; then the whole number nearest to it, in the lowest bits.
  const __m512 near = _mm512_range_ps(x.raw, _mm512_set1_ps(kGeluReach), 2);
  const __m512i piece =
      _mm512_castps_si512(_mm512_fmadd_ps(near, _mm512_set1_ps(kGeluScale), _mm512_set1_ps(12582912.0f + 16)));
  const auto pick = [&](const float* of) HWY_ATTR {
    return V{_mm512_permutex2var_ps(_mm512_load_ps(of), piece, _mm512_load_ps(of + 16))};
  };
#else
  const hn::RebindToSigned<D> di;
  const V near = hn::Min(hn::Max(x, hn::Set(d, -kGeluReach)), hn::Set(d, kGeluReach));
  const auto piece = hn::Add(hn::NearestInt(hn::Mul(near, hn::Set(d, kGeluScale))), hn::Set(di, 16));
  const auto pick = [&](const float* of) HWY_ATTR { return hn::GatherIndex(d, of, piece); };
#endif
  return hn::MulAdd(hn::MulAdd(pick(kGeluPieces[2]), x, pick(kGeluPieces[1])), x, pick(kGeluPieces[0]));
}

// x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3): the same as 0.5 x (1 + tanh y).
template <class D, class V>
HWY_INLINE V gelu_tanh_vector(D d, V x) {
  const V cubic = hn::MulAdd(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715f), x);
  const V y2 = hn::Mul(cubic, hn::Set(d, 1.59576912f));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exp_vector(d, hn::Neg(y2))));
}

// Within 3e-7 absolute.
template <class D, class V>
HWY_INLINE V tanh_vector(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  const V e = exp_vector(d, hn::Min(hn::Add(x, x), hn::Set(d, 40.0f)));
  return hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
}

template <class D, class V>
HWY_INLINE V silu_vector(D d, V x) {
  return hn::Div(x, hn::Add(hn::Set(d, 1.0f), exp_vector(d, hn::Neg(x))));
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
