// What every product policy shares: packing, the blocked matrix product, attention. Included once per target by
// kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Bytes behind a panel's weights that a quantizing policy keeps there.
template <class P>
constexpr size_t panel_tail() {
  if constexpr (requires { P::kPanelTail; }) return P::kPanelTail;
  return 0;
}

template <class P>
size_t panel_bytes(size_t in) {
  return P::steps_of(in) * P::kColumns * sizeof(typename P::Element) + panel_tail<P>();
}

// value(column, k) -> panels.
template <class P, class Value>
HWY_INLINE void pack_panels(size_t out, size_t in, std::byte* panels, const Value& value) {
  using Element = typename P::Element;
  [[maybe_unused]] const size_t steps = P::steps_of(in);
  for (size_t n = 0; n < out; n += P::kColumns, panels += panel_bytes<P>(in)) {
    auto* panel = reinterpret_cast<Element*>(panels);
    const size_t columns = std::min(P::kColumns, out - n);
    if constexpr (panel_tail<P>() != 0) {
      P::pack_panel(columns, in, panel, [&](size_t column, size_t k) { return value(n + column, k); });
    } else {
      for (size_t k = 0; k < steps; ++k) {
        Element* place = panel + k / P::kGroup * P::kColumns * P::kGroup + k % P::kGroup;
        const size_t filled = k < in ? columns : 0;
        for (size_t j = 0; j < filled; ++j) place[j * P::kGroup] = P::convert(value(n + j, k));
        for (size_t j = filled; j < P::kColumns; ++j) place[j * P::kGroup] = 0;
      }
    }
  }
}

template <class P>
void pack(const float* weight, size_t out, size_t in, size_t stride, std::byte* panels) {
  pack_panels<P>(out, in, panels, [&](size_t column, size_t k) { return weight[column * stride + k]; });
}

template <class P>
size_t matmul_scratch(size_t in) {
  return P::scratch_bytes(in, P::kBlockRows);
}

template <class P>
void matmul(const MatMulArgs& args) {
  using Element = typename P::Element;
  const PackedMatrix& w = *args.weights;
  P::begin();
  // A block of rows is taken through all panels before the next, so that it stays in the L2 cache while a panel is read
  // once per block.
  for (size_t row = 0; row < args.rows; row += P::kBlockRows) {
    const size_t rows = std::min(P::kBlockRows, args.rows - row);
    const auto a = P::prepare(args.a + row * args.a_stride, args.a_stride, rows, w.in, args.scratch);
    for (size_t p = args.first_panel; p < args.last_panel; ++p) {
      const size_t offset = row * args.c_stride + p * P::kColumns;
      const Target target = {w.bias ? w.bias + p * P::kColumns : nullptr,
                             args.residual ? args.residual + offset : nullptr, args.c + offset, args.c_stride};
      P::multiply(a, rows, w.in, reinterpret_cast<const Element*>(w.panels + p * panel_bytes<P>(w.in)), target,
                  args.scratch);
    }
  }
  P::end();
}

// How attention() shares out its scratch.
template <class P>
struct AttentionPlan {
  size_t padded_length, padded_head;
  size_t keys, values, scores, output, rows;  // where each part begins, in bytes
  size_t total;

  AttentionPlan(size_t length, size_t head)
      : padded_length(round_up_to(length, P::kColumns)), padded_head(round_up_to(head, P::kColumns)) {
    keys = 0;
    values = keys + padded_length / P::kColumns * panel_bytes<P>(head);
    scores = values + padded_head / P::kColumns * panel_bytes<P>(length);
    output = scores + P::kAttentionRows * padded_length * sizeof(float);
    rows = output + P::kAttentionRows * padded_head * sizeof(float);
    total = rows + std::max(P::scratch_bytes(head, P::kAttentionRows), P::scratch_bytes(length, P::kAttentionRows));
  }
};

template <class P>
size_t attention_scratch(size_t length, size_t head_size) {
  return AttentionPlan<P>(length, head_size).total;
}

// row[0, n) = exp((row - max) * scale); returns the sum. The row is whole vectors long.
HWY_INLINE float softmax_row(float* row, size_t n, float scale) {
  const D d;
  V largest_v = hn::Set(d, -3.0e38f);
  const size_t whole = n / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) largest_v = hn::Max(largest_v, hn::Load(d, row + i));
  float largest = hn::GetLane(hn::MaxOfLanes(d, largest_v));
  for (size_t i = whole; i < n; ++i) largest = std::max(largest, row[i]);
  // What lies behind n becomes exp(-inf) = 0.
  for (size_t i = n; i < round_up_to(n, kLanes); ++i) row[i] = -INFINITY;
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

HWY_INLINE void store_scaled(const float* from, size_t n, float factor, float* to) {
  const D d;
  const V f = hn::Set(d, factor);
  size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, from + c), f), d, to + c);
  for (; c < n; ++c) to[c] = from[c] * factor;
}

// Scores of a few rows at a time against all keys, so that nothing of length x length is ever in memory; the rows'
// largest score is taken off before exp, so that nothing overflows.
template <class P>
void attention(const AttentionArgs& args) {
  using Element = typename P::Element;
  const size_t length = args.length, head = args.head_size;
  const AttentionPlan<P> plan(length, head);
  auto* const keys = args.scratch + plan.keys;
  auto* const values = args.scratch + plan.values;
  auto* const scores = reinterpret_cast<float*>(args.scratch + plan.scores);
  auto* const output = reinterpret_cast<float*>(args.scratch + plan.output);
  std::byte* const scratch = args.scratch + plan.rows;
  pack<P>(args.keys, length, head, args.key_stride, keys);
  pack_panels<P>(head, length, values,
                 [&](size_t column, size_t k) { return args.values[k * args.key_stride + column]; });

  P::begin();
  for (size_t row = 0; row < args.query_rows; row += P::kAttentionRows) {
    const size_t rows = std::min(P::kAttentionRows, args.query_rows - row);
    const auto q = P::prepare(args.queries + row * args.query_stride, args.query_stride, rows, head, scratch);
    for (size_t n = 0; n < length; n += P::kColumns) {
      const auto* panel = reinterpret_cast<const Element*>(keys + n / P::kColumns * panel_bytes<P>(head));
      P::multiply(q, rows, head, panel, {nullptr, nullptr, scores + n, plan.padded_length}, scratch);
    }
    float inverse[P::kAttentionRows];
    for (size_t r = 0; r < rows; ++r) inverse[r] = 1 / softmax_row(scores + r * plan.padded_length, length, args.scale);
    const auto weights = P::prepare(scores, plan.padded_length, rows, length, scratch);
    for (size_t n = 0; n < head; n += P::kColumns) {
      const auto* panel = reinterpret_cast<const Element*>(values + n / P::kColumns * panel_bytes<P>(length));
      P::multiply(weights, rows, length, panel, {nullptr, nullptr, output + n, plan.padded_head}, scratch);
    }
    for (size_t r = 0; r < rows; ++r) {
      store_scaled(output + r * plan.padded_head, head, inverse[r], args.context + (row + r) * args.context_stride);
    }
  }
  P::end();
}

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
