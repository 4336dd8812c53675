// What every product policy shares: packing, the blocked matrix product. Included once per target by kernels.cc.
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

// W [out, in], rows `stride` apart -> panels.
template <class P>
void pack(const float* weight, size_t out, size_t in, size_t stride, std::byte* panels) {
  using Element = typename P::Element;
  [[maybe_unused]] const size_t steps = P::steps_of(in);
  for (size_t n = 0; n < out; n += P::kColumns, panels += panel_bytes<P>(in)) {
    auto* panel = reinterpret_cast<Element*>(panels);
    const size_t columns = std::min(P::kColumns, out - n);
    if constexpr (panel_tail<P>() != 0) {
      P::pack_panel(columns, in, panel, [&](size_t column, size_t k) { return weight[(n + column) * stride + k]; });
    } else {
      for (size_t k = 0; k < steps; ++k) {
        Element* place = panel + k / P::kGroup * P::kColumns * P::kGroup + k % P::kGroup;
        const size_t filled = k < in ? columns : 0;
        for (size_t j = 0; j < filled; ++j) place[j * P::kGroup] = P::convert(weight[(n + j) * stride + k]);
        for (size_t j = filled; j < P::kColumns; ++j) place[j * P::kGroup] = 0;
      }
    }
  }
}

template <class P>
size_t matmul_scratch(size_t in) {
  return P::scratch_bytes(in, P::kBlockRows);
}

// Panels whose results go through the activation function together, while they are in the L1 cache.
constexpr size_t kActivatedPanels = 2;

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
      P::multiply(a, rows, w.in, reinterpret_cast<const Element*>(w.panels + p * panel_bytes<P>(w.in)), target);
      const size_t done = (p - args.first_panel) % kActivatedPanels + 1;
      if (args.activation == nullptr || (done < kActivatedPanels && p + 1 < args.last_panel)) continue;
      float* c = target.c - (done - 1) * P::kColumns;
      for (size_t r = 0; r < rows; ++r, c += args.c_stride) args.activation(c, done * P::kColumns);
    }
  }
  P::end();
}

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
