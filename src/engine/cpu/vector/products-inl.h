// The matrix products of one instruction tier: what differs between precisions is a policy, what is common stands once
// in blocks-inl.h. Included once per target by kernels.cc.
//
// A policy has
//   Element, kGroup     an input value; how many neighbouring inputs one 32-bit lane holds
//   kPanelTail          bytes after a panel's weights, if any
//   pack_rows(..)       some rows of weights -> lanes of 32 bits, and their part of the panel's tail
//   kColumns            columns of a panel
//   block_rows(in)      rows prepared and multiplied together
//   begin(), end()      around the products of one piece of work on one thread
//   scratch_bytes(..)   what prepare() and multiply() need for `rows` rows
//   steps_of(in)        inputs rounded up to what the kernel reads
//   prepare(...)        rows of fp32 activations as the kernel reads them (may be a copy in scratch)
//   multiply(...)       C = A panel^T + bias (+ residual) for up to block_rows(in) rows
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kTileColumns = 2 * kLanes;
// Sums that fit the register file beside two B vectors and one broadcast: 24 of 32, 12 of 16.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr size_t kTileRows = 12;
#elif HWY_TARGET <= HWY_AVX2
constexpr size_t kTileRows = 6;
#else
constexpr size_t kTileRows = 4;
#endif

constexpr size_t kBlockColumns = kTileColumns < 16 ? kTileColumns : 16;  // of a panel, that are transposed together

// kBlockColumns rows of 16 lanes of 32 bits -> `lanes` (16 at most) rows of kBlockColumns.
HWY_INLINE void transpose_block(const uint32_t* from, size_t from_stride, uint32_t* to, size_t to_stride,
                                size_t lanes) {
  if constexpr (kBlockColumns == 16) {
    if (lanes == 16) return transpose_16x16(from, from_stride, to, to_stride);
  }
  for (size_t k = 0; k < lanes; ++k) {
    for (size_t i = 0; i < kBlockColumns; ++i) to[k * to_stride + i] = from[i * from_stride + k];
  }
}

HWY_INLINE size_t round_up_to(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Where a product's results go and what they start from.
struct Target {
  const float* bias;      // [kTileColumns] or null
  const float* residual;  // null, or laid out like c
  float* c;
  size_t c_stride;
};

// add(k, n) for all inputs of a panel, spans of n from k on; each prefetches a line of the next panel, which comes from
// memory: after kTiles tiles of rows all of it is prefetched. Prefetched at once, its lines would fill the line fill
// buffers, and loads would wait for them (a sixth of a large feed-forward part's time).
template <size_t kTiles, class Element, class Add>
HWY_INLINE void in_spans(size_t steps, const Element* next, const Add& add) {
  constexpr size_t kLine = 64, kSpan = kTiles * kLine / (kTileColumns * sizeof(Element));
  size_t k = 0;
  for (; k + kSpan <= steps; k += kSpan, next += kLine / sizeof(Element)) {
    __builtin_prefetch(next, 0, 2);
    add(k, kSpan);
  }
  if (k < steps) add(k, steps - k);
}

// Prepared rows: `stride` in elements.
template <class Element>
struct Rows {
  const Element* data;
  size_t stride;
};

// Rows of fp32 -> bf16, zeros up to `steps` inputs and `padded_rows` rows.
HWY_INLINE void convert_rows_to_bf16(const float* a, size_t a_stride, size_t rows, size_t in, uint16_t* out,
                                     size_t out_stride, size_t padded_rows) {
  const D d;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> du16;
  for (size_t r = 0; r < rows; ++r) {
    const float* from = a + r * a_stride;
    uint16_t* to = out + r * out_stride;
    size_t k = 0;
    for (; k + kLanes <= in; k += kLanes) {
      const auto rounded = hn::ShiftRight<16>(rounded_bits(D(), hn::LoadU(d, from + k)));
      hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, rounded)), du16, to + k);
    }
    for (; k < in; ++k) to[k] = to_bf16(from[k]);
    for (; k < out_stride; ++k) to[k] = 0;
  }
  if (rows < padded_rows) __builtin_memset(out + rows * out_stride, 0, (padded_rows - rows) * out_stride * 2);
}

// fp32: one lane is one input; rows are read where they are.
struct Fp32Dot {
  using Element = float;
  static constexpr size_t kGroup = 1;
  static constexpr size_t kStep = 1;
  HWY_INLINE static float convert(float x) { return x; }
  HWY_INLINE static V broadcast(D d, const float* a) { return hn::Set(d, *a); }
  HWY_INLINE static V load(D d, const float* b) { return hn::Load(d, b); }
  HWY_INLINE static void accumulate(D, V& sum, V a, V b) { sum = hn::MulAdd(a, b, sum); }
  // Zeros up to `out_stride` inputs and `padded_rows` rows.
  HWY_INLINE static void convert_rows(const float* a, size_t a_stride, size_t rows, size_t in, float* out,
                                      size_t out_stride, size_t padded_rows) {
    for (size_t r = 0; r < padded_rows; ++r, out += out_stride) {
      const size_t filled = r < rows ? in : 0;
      std::copy_n(a + (filled != 0 ? r * a_stride : 0), filled, out);
      std::fill_n(out + filled, out_stride - filled, 0.0f);
    }
  }
};

// bf16: one lane holds two neighbouring inputs; a step multiplies both and adds them to the lane's fp32 sum.
// `kHardware`: by VDPBF16PS; else by two fp32 multiply-adds, which every CPU has.
template <bool kHardware>
struct Bf16Dot {
  using Element = uint16_t;
  static constexpr size_t kGroup = 2;
  static constexpr size_t kStep = 32;  // as the AMX tiles want it, so that one packing serves both
  HWY_INLINE static uint16_t convert(float x) { return to_bf16(x); }
  HWY_INLINE static V broadcast(D d, const uint16_t* a) {
    float pair;
    __builtin_memcpy(&pair, a, 4);
    return hn::Set(d, pair);
  }
  HWY_INLINE static V load(D d, const uint16_t* b) { return hn::Load(d, reinterpret_cast<const float*>(b)); }
  HWY_INLINE static void accumulate(D d, V& sum, V a, V b) {
#if HWY_TARGET <= HWY_AVX3
    if constexpr (kHardware) {
      // By hand, since g++ wants the whole function compiled for avx512bf16 otherwise.
      asm("vdpbf16ps %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
      return;
    }
#endif
    const hn::RebindToUnsigned<D> du;
    const auto ua = hn::BitCast(du, a), ub = hn::BitCast(du, b);
    const auto high = hn::Set(du, 0xffff0000u);
    sum = hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(ua)), hn::BitCast(d, hn::ShiftLeft<16>(ub)), sum);
    sum = hn::MulAdd(hn::BitCast(d, hn::And(ua, high)), hn::BitCast(d, hn::And(ub, high)), sum);
  }
  HWY_INLINE static void convert_rows(const float* a, size_t a_stride, size_t rows, size_t in, uint16_t* out,
                                      size_t out_stride, size_t padded_rows) {
    convert_rows_to_bf16(a, a_stride, rows, in, out, out_stride, padded_rows);
  }
  // Two vectors, one after the other.
  HWY_INLINE static void store_pair(V low, V high, uint16_t* to) {
#if HWY_TARGET <= HWY_AVX3
    if constexpr (kHardware) {
      __m512 packed;
      asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(packed) : "v"(high.raw), "v"(low.raw));
      _mm512_store_ps(to, packed);
      return;
    }
#endif
    const hn::RebindToSigned<D> di;
    const hn::Rebind<uint16_t, D> d16;
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, hn::ShiftRight<16>(rounded_bits(D(), low)))), d16, to);
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, hn::ShiftRight<16>(rounded_bits(D(), high)))), d16, to + kLanes);
  }
  // Two vectors, value by value in turn.
  HWY_INLINE static void store_interleaved(V first, V second, uint16_t* to) {
    const hn::RebindToUnsigned<D> du;
    const auto low = hn::ShiftRight<16>(rounded_bits(D(), first));
    hn::Store(hn::Or(low, hn::And(rounded_bits(D(), second), hn::Set(du, 0xffff0000u))), du,
              reinterpret_cast<uint32_t*>(to));
  }
};

// sum += kRows rows times a panel, over the whole inner dimension: what products and the scores of attention are.
template <class Dot, size_t kRows>
HWY_INLINE void add_panel(const typename Dot::Element* a, size_t a_stride, size_t steps,
                          const typename Dot::Element* HWY_RESTRICT panel, V (&sum)[kRows][2]) {
  const D d;
  for (size_t k = 0; k < steps; k += Dot::kGroup, panel += kTileColumns * Dot::kGroup) {
    const V b0 = Dot::load(d, panel);
    const V b1 = Dot::load(d, panel + kLanes * Dot::kGroup);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const V x = Dot::broadcast(d, a + r * a_stride + k);
      Dot::accumulate(d, sum[r][0], x, b0);
      Dot::accumulate(d, sum[r][1], x, b1);
    }
  }
}

constexpr size_t kBlockTiles = 8;  // register tiles of a block of rows

// The register-tile product on vector units: kRows x two vectors of sums over the whole inner dimension. `next`: what
// this tile prefetches.
template <class Dot, size_t kRows>
HWY_NOINLINE void vector_tile(const typename Dot::Element* a, size_t a_stride, size_t steps,
                              const typename Dot::Element* panel, const typename Dot::Element* next, const Target& t) {
  const D d;
  V sum[kRows][2];
  const V bias0 = t.bias ? hn::Load(d, t.bias) : hn::Zero(d);
  const V bias1 = t.bias ? hn::Load(d, t.bias + kLanes) : hn::Zero(d);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    sum[r][0] = bias0;
    sum[r][1] = bias1;
    if (t.residual != nullptr) {
      sum[r][0] = hn::Add(sum[r][0], hn::LoadU(d, t.residual + r * t.c_stride));
      sum[r][1] = hn::Add(sum[r][1], hn::LoadU(d, t.residual + r * t.c_stride + kLanes));
    }
  }
  in_spans<kBlockTiles>(
      steps, next, [&](size_t k, size_t n) HWY_ATTR __attribute__((always_inline)) {
        add_panel<Dot, kRows>(a + k, a_stride, n, panel + k * kTileColumns, sum);
      });
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    hn::StoreU(sum[r][0], d, t.c + r * t.c_stride);
    hn::StoreU(sum[r][1], d, t.c + r * t.c_stride + kLanes);
  }
}

// Whole register tiles, then halves down to single rows: each row's sum is the same whatever its neighbours are.
template <class Take>
HWY_INLINE void in_register_tiles(size_t rows, const Take& take) {
  for (; rows >= kTileRows; rows -= kTileRows) take(std::integral_constant<size_t, kTileRows>());
  if constexpr (kTileRows > 8) {
    if (rows >= 8) take(std::integral_constant<size_t, 8>()), rows -= 8;
  }
  if constexpr (kTileRows > 4) {
    if (rows >= 4) take(std::integral_constant<size_t, 4>()), rows -= 4;
  }
  if (rows >= 2) take(std::integral_constant<size_t, 2>()), rows -= 2;
  if (rows >= 1) take(std::integral_constant<size_t, 1>());
}

template <class Dot>
struct VectorProduct {
  using Step = Dot;
  using Element = typename Dot::Element;
  static constexpr size_t kGroup = Dot::kGroup;
  static constexpr size_t kColumns = kTileColumns;
  static constexpr size_t kBlockRows = kBlockTiles * kTileRows;

  HWY_INLINE static void begin() {}
  HWY_INLINE static void end() {}
  static size_t block_rows(size_t) { return kBlockRows; }
  HWY_INLINE static size_t steps_of(size_t in) { return round_up_to(in, Dot::kStep); }
  // Rows of weights as 32-bit lanes, kBlockColumns rows of `lanes`.
  static void pack_rows(const float* weight, size_t stride, size_t rows, size_t in, Element* out, size_t lanes, size_t,
                        std::byte*) {
    Dot::convert_rows(weight, stride, rows, in, out, lanes * kGroup, kBlockColumns);
  }
  static size_t scratch_bytes(size_t in, size_t rows) {
    return kGroup == 1 ? 0 : round_up_to(rows * row_stride(in) * sizeof(Element), 64);
  }

  HWY_INLINE static Rows<Element> prepare(const float* a, size_t a_stride, size_t rows, size_t in, std::byte* scratch) {
    if constexpr (kGroup == 1) {
      return {a, a_stride};
    } else {
      auto* out = reinterpret_cast<Element*>(scratch);
      Dot::convert_rows(a, a_stride, rows, in, out, row_stride(in), rows);
      return {out, row_stride(in)};
    }
  }

  HWY_INLINE static void multiply(Rows<Element> a, size_t rows, size_t in, const Element* panel, Target t) {
    multiply_steps(a, rows, steps_of(in), panel, t);
  }
  HWY_INLINE static void multiply_steps(Rows<Element> a, size_t rows, size_t steps, const Element* panel, Target t) {
    const Element* next = panel + steps * kColumns;
    in_register_tiles(rows, [&](auto count) {
      constexpr size_t kCount = decltype(count)::value;
      vector_tile<Dot, kCount>(a.data, a.stride, steps, panel, next, t);
      next += steps * kColumns / kBlockTiles;
      a.data += kCount * a.stride;
      t.c += kCount * t.c_stride;
      if (t.residual != nullptr) t.residual += kCount * t.c_stride;
    });
  }

 private:
  // An odd number of cache lines, so that the rows of a tile do not share cache sets.
  HWY_INLINE static size_t row_stride(size_t in) {
    return (round_up_to(steps_of(in) * sizeof(Element), 64) / 64 | 1) * 64 / sizeof(Element);
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
