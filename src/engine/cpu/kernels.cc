// One table of kernels per instruction tier, from one source: Highway compiles this file again for each target.
//
// Matrix product: a micro-kernel keeps a tile of kTileRows x (2 vectors) sums in registers over the whole inner dimension;
// B comes from packed panels (2 vectors per step), A as broadcasts straight from the row-major activations. Sums start at
// bias (+ residual), so that neither costs a pass of its own.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu/kernels.cc"
// SSE tiers are left out: AVX2 is the floor, and Highway's baseline target is the portable tier.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"
#include "engine/cpu/math-inl.h"
// clang-format on

#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/cpu/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr size_t kLanes = hn::MaxLanes(D());
constexpr size_t kTileColumns = 2 * kLanes;
// Sums that fit the register file beside two B vectors and one broadcast: 24 of 32, 12 of 16.
#if HWY_TARGET <= HWY_AVX3
constexpr size_t kTileRows = 12;
#elif HWY_TARGET <= HWY_AVX2
constexpr size_t kTileRows = 6;
#else
constexpr size_t kTileRows = 4;
#endif

struct TileArgs {
  const float* a;
  size_t a_stride;
  size_t depth;           // inner dimension
  const float* panel;     // [depth, kTileColumns]
  const float* bias;      // [kTileColumns] or null
  const float* residual;  // null, or laid out like c
  float* c;
  size_t c_stride;
};

template <size_t kRows>
HWY_NOINLINE void tile(const TileArgs& t) {
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
  const float* HWY_RESTRICT a = t.a;
  const float* HWY_RESTRICT b = t.panel;
  const size_t stride = t.a_stride;
  for (size_t k = 0; k < t.depth; ++k, b += kTileColumns) {
    const V b0 = hn::Load(d, b);
    const V b1 = hn::Load(d, b + kLanes);
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) {
      const V x = hn::Set(d, a[r * stride + k]);
      sum[r][0] = hn::MulAdd(x, b0, sum[r][0]);
      sum[r][1] = hn::MulAdd(x, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) {
    hn::StoreU(sum[r][0], d, t.c + r * t.c_stride);
    hn::StoreU(sum[r][1], d, t.c + r * t.c_stride + kLanes);
  }
}

// Any number of rows: whole tiles, then halves down to single rows.
HWY_INLINE void tile_rows(TileArgs t, size_t rows) {
  auto step = [&](size_t done) {
    t.a += done * t.a_stride;
    t.c += done * t.c_stride;
    if (t.residual != nullptr) t.residual += done * t.c_stride;
    rows -= done;
  };
  while (rows >= kTileRows) {
    tile<kTileRows>(t);
    step(kTileRows);
  }
  if constexpr (kTileRows > 8) {
    if (rows >= 8) {
      tile<8>(t);
      step(8);
    }
  }
  if (rows >= 4) {
    tile<4>(t);
    step(4);
  }
  if (rows >= 2) {
    tile<2>(t);
    step(2);
  }
  if (rows == 1) tile<1>(t);
}

void pack(const float* weight, size_t out, size_t in, size_t stride, float* panels) {
  for (size_t n = 0; n < out; n += kTileColumns, panels += kTileColumns * in) {
    const size_t columns = std::min(kTileColumns, out - n);
    for (size_t k = 0; k < in; ++k) {
      float* row = panels + k * kTileColumns;
      for (size_t j = 0; j < columns; ++j) row[j] = weight[(n + j) * stride + k];
      for (size_t j = columns; j < kTileColumns; ++j) row[j] = 0;
    }
  }
}

// The same for a matrix that lies [in, out] already.
void pack_transposed(const float* matrix, size_t out, size_t in, size_t stride, float* panels) {
  for (size_t n = 0; n < out; n += kTileColumns, panels += kTileColumns * in) {
    const size_t columns = std::min(kTileColumns, out - n);
    for (size_t k = 0; k < in; ++k) {
      float* row = panels + k * kTileColumns;
      std::copy_n(matrix + k * stride + n, columns, row);
      std::fill(row + columns, row + kTileColumns, 0.0f);
    }
  }
}

void matmul(const MatMulArgs& args) {
  // A block of rows is taken through all panels before the next, so that it stays in the L2 cache while a panel is read
  // once per block.
  constexpr size_t kBlockRows = 8 * kTileRows;
  const PackedMatrix& w = *args.weights;
  for (size_t row = 0; row < args.rows; row += kBlockRows) {
    const size_t rows = std::min(kBlockRows, args.rows - row);
    for (size_t p = args.first_panel; p < args.last_panel; ++p) {
      TileArgs t;
      t.a = args.a + row * args.a_stride;
      t.a_stride = args.a_stride;
      t.depth = w.in;
      t.panel = w.panels + p * kTileColumns * w.in;
      t.bias = w.bias ? w.bias + p * kTileColumns : nullptr;
      const size_t offset = row * args.c_stride + p * kTileColumns;
      t.residual = args.residual ? args.residual + offset : nullptr;
      t.c = args.c + offset;
      t.c_stride = args.c_stride;
      tile_rows(t, rows);
    }
  }
}

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Scratch: K panels, V panels, one block of scores, one block of outputs.
size_t attention_scratch(size_t length, size_t head_size) {
  const size_t padded_length = round_up(length, kTileColumns);
  const size_t padded_head = round_up(head_size, kTileColumns);
  return padded_length * head_size + padded_head * length + kTileRows * (padded_length + padded_head) + kTileColumns;
}

// row[0, n) = exp((row - max) * scale); returns the sum.
float softmax_row(float* row, size_t n, float scale) {
  const D d;
  V largest_v = hn::Set(d, -3.0e38f);
  const size_t whole = n / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) largest_v = hn::Max(largest_v, hn::Load(d, row + i));
  float largest = hn::GetLane(hn::MaxOfLanes(d, largest_v));
  for (size_t i = whole; i < n; ++i) largest = std::max(largest, row[i]);
  // The buffer is whole vectors long: what lies behind n becomes exp(-inf) = 0.
  for (size_t i = n; i < round_up(n, kLanes); ++i) row[i] = -INFINITY;
  const V shift = hn::Set(d, -largest * scale);
  const V factor = hn::Set(d, scale);
  V sum = hn::Zero(d);
  for (size_t i = 0; i < n; i += kLanes) {
    const V e = exp_vector(d, hn::MulAdd(hn::Load(d, row + i), factor, shift));
    hn::Store(e, d, row + i);
    sum = hn::Add(sum, e);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

void attention(const AttentionArgs& args) {
  const D d;
  const size_t length = args.length, head = args.head_size;
  const size_t padded_length = round_up(length, kTileColumns);
  const size_t padded_head = round_up(head, kTileColumns);
  float* const keys = args.scratch;
  float* const values = keys + padded_length * head;
  float* const scores = values + padded_head * length;
  float* const output = scores + kTileRows * padded_length;
  pack(args.keys, length, head, args.key_stride, keys);
  pack_transposed(args.values, head, length, args.key_stride, values);

  for (size_t row = 0; row < args.query_rows; row += kTileRows) {
    const size_t rows = std::min(kTileRows, args.query_rows - row);
    TileArgs t{args.queries + row * args.query_stride, args.query_stride, head, nullptr, nullptr, nullptr, nullptr,
               padded_length};
    for (size_t n = 0; n < length; n += kTileColumns) {
      t.panel = keys + n * head;
      t.c = scores + n;
      tile_rows(t, rows);
    }
    float inverse[kTileRows];
    for (size_t r = 0; r < rows; ++r) inverse[r] = 1 / softmax_row(scores + r * padded_length, length, args.scale);
    t = {scores, padded_length, length, nullptr, nullptr, nullptr, nullptr, padded_head};
    for (size_t n = 0; n < head; n += kTileColumns) {
      t.panel = values + n * length;
      t.c = output + n;
      tile_rows(t, rows);
    }
    for (size_t r = 0; r < rows; ++r) {
      const V factor = hn::Set(d, inverse[r]);
      const float* from = output + r * padded_head;
      float* to = args.context + (row + r) * args.context_stride;
      size_t c = 0;
      for (; c + kLanes <= head; c += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, from + c), factor), d, to + c);
      for (; c < head; ++c) to[c] = from[c] * inverse[r];
    }
  }
}

template <class Function>
HWY_INLINE void map(float* x, size_t n, Function function) {
  const D d;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(function(d, hn::LoadU(d, x + i)), d, x + i);
  if (i == n) return;
  HWY_ALIGN float last[kLanes] = {};
  std::copy(x + i, x + n, last);
  hn::Store(function(d, hn::Load(d, last)), d, last);
  std::copy(last, last + (n - i), x + i);
}

void gelu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_vector(d, v); });
}
void gelu_tanh(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return gelu_tanh_vector(d, v); });
}
void silu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return silu_vector(d, v); });
}
void relu(float* x, size_t n) {
  map(x, n, [](D d, V v) HWY_ATTR { return hn::Max(v, hn::Zero(d)); });
}

void layer_norm(float* x, size_t n, const float* gamma, const float* beta, float epsilon) {
  const D d;
  const size_t whole = n / kLanes * kLanes;
  V sum = hn::Zero(d);
  for (size_t i = 0; i < whole; i += kLanes) sum = hn::Add(sum, hn::LoadU(d, x + i));
  float total = hn::GetLane(hn::SumOfLanes(d, sum));
  for (size_t i = whole; i < n; ++i) total += x[i];
  const float mean = total / static_cast<float>(n);
  const V mean_v = hn::Set(d, mean);
  V squares = hn::Zero(d);
  for (size_t i = 0; i < whole; i += kLanes) {
    const V centred = hn::Sub(hn::LoadU(d, x + i), mean_v);
    squares = hn::MulAdd(centred, centred, squares);
  }
  float square_total = hn::GetLane(hn::SumOfLanes(d, squares));
  for (size_t i = whole; i < n; ++i) square_total += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / std::sqrt(square_total / static_cast<float>(n) + epsilon);
  const V scale_v = hn::Set(d, scale);
  for (size_t i = 0; i < whole; i += kLanes) {
    const V normal = hn::Mul(hn::Sub(hn::LoadU(d, x + i), mean_v), scale_v);
    hn::StoreU(hn::MulAdd(normal, hn::LoadU(d, gamma + i), hn::LoadU(d, beta + i)), d, x + i);
  }
  for (size_t i = whole; i < n; ++i) x[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
}

#if HWY_TARGET <= HWY_AVX3
#define RERANK_TIER_NAME "avx512"
#elif HWY_TARGET <= HWY_AVX2
#define RERANK_TIER_NAME "avx2"
#else
#define RERANK_TIER_NAME "portable"
#endif
// A constant, not a function's result: code of a tier that this CPU lacks must not run, not even to name itself.
extern const KernelTable kTable;
constexpr KernelTable kTable = {RERANK_TIER_NAME, kTileRows, kTileColumns, pack, matmul, attention_scratch,
                                attention,        gelu,      gelu_tanh,    silu, relu,   layer_norm};
#undef RERANK_TIER_NAME

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rerank::cpu {

std::span<const KernelTable* const> compiled_kernels() {
  static const KernelTable* const kTables[] = {
#if HWY_TARGETS & HWY_AVX3
      &N_AVX3::kTable,
#endif
#if HWY_TARGETS & HWY_AVX2
      &N_AVX2::kTable,
#endif
      &HWY_STATIC_DISPATCH(kTable),
  };
  return kTables;
}

bool can_run(const KernelTable& table) {
  const std::string_view name = table.name;
  const int64_t supported = hwy::SupportedTargets();
  if (name == "avx512") return (supported & HWY_AVX3) != 0;
  if (name == "avx2") return (supported & HWY_AVX2) != 0;
  return true;
}

}  // namespace rerank::cpu
#endif
