// What every product policy shares: packing, the blocked matrix product. Included once per target by kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Bytes after a panel's weights that a quantizing policy keeps there.
template <class P>
constexpr size_t panel_tail() {
  if constexpr (requires { P::kPanelTail; }) return P::kPanelTail;
  return 0;
}

template <class P>
size_t panel_bytes(size_t in) {
  if constexpr (requires { P::panel_bytes(in); }) return P::panel_bytes(in);
  return P::steps_of(in) * P::kColumns * sizeof(typename P::Element) + panel_tail<P>();
}

// Rows -> panels: a block of rows as 32-bit lanes, then transposed.
template <class P>
void pack(const WeightRows& weight, std::byte* panels) {
  const size_t out = weight.out, in = weight.in, stride = weight.stride;
  const size_t lanes = P::steps_of(in) / P::kGroup, padded = round_up_to(lanes, 16) + 16;  // no power of 2
  std::vector<uint32_t> staging(kBlockColumns * padded);
  for (size_t n = 0; n < out; n += P::kColumns, panels += panel_bytes<P>(in)) {
    for (size_t block = 0; block < P::kColumns; block += kBlockColumns) {
      const size_t first = std::min(n + block, out), rows = std::min(kBlockColumns, out - first);
      auto* const staged = reinterpret_cast<typename P::Element*>(staging.data());
      const float* const values = weight.values + first * stride;
      if constexpr (requires { P::kPacksUnits; }) {
        const float* const units = weight.units == nullptr ? nullptr : weight.units + first * (in / kUnitInputs);
        P::pack_rows(values, stride, rows, in, staged, padded, block, panels, units);
      } else {
        P::pack_rows(values, stride, rows, in, staged, padded, block, panels);
      }
      auto* to = reinterpret_cast<uint32_t*>(panels) + block;
      for (size_t lane = 0; lane < lanes; lane += 16) {
        transpose_block(staging.data() + lane, padded, to + lane * P::kColumns, P::kColumns,
                        std::min<size_t>(16, lanes - lane));
      }
    }
  }
}

template <class P>
size_t matmul_scratch(size_t in) {
  return P::scratch_bytes(in, P::block_rows(in));
}

// Panels whose results go through the activation function together, while they are in the L1 cache.
constexpr size_t kActivatedPanels = 2;

// Activation and factor of `rows` rows of n columns, whole panels, from `offset` on in C.
HWY_INLINE void finish_rows(const MatMulArgs& args, size_t offset, size_t rows, size_t n) {
  for (size_t r = 0; r < rows; ++r, offset += args.c_stride) {
    if (args.activation != nullptr) args.activation(args.c + offset, n);
    if (args.factor != nullptr) multiply_by(args.c + offset, args.factor + offset, n);
  }
}

template <class P>
void matmul(const MatMulArgs& args) {
  using Element = typename P::Element;
  const PackedMatrix& w = *args.weights;
  const bool finish = args.activation != nullptr || args.factor != nullptr;
  P::begin();
  // A block of rows is taken through all panels before the next, so that it stays in the L2 cache while a panel is read
  // once per block.
  const size_t block_rows = P::block_rows(w.in);
  for (size_t row = 0; row < args.rows; row += block_rows) {
    const size_t rows = std::min(block_rows, args.rows - row);
    const auto a = P::prepare(args.a + row * args.a_stride, args.a_stride, rows, w.in, args.scratch);
    for (size_t p = args.first_panel; p < args.last_panel; ++p) {
      const size_t offset = row * args.c_stride + p * P::kColumns;
      const Target target = {w.bias ? w.bias + p * P::kColumns : nullptr,
                             args.residual ? args.residual + offset : nullptr, args.c + offset, args.c_stride};
      P::multiply(a, rows, w.in, reinterpret_cast<const Element*>(w.panels + p * panel_bytes<P>(w.in)), target);
      const size_t done = (p - args.first_panel) % kActivatedPanels + 1;
      if (!finish || (done < kActivatedPanels && p + 1 < args.last_panel)) continue;
      const size_t back = (done - 1) * P::kColumns;
      finish_rows(args, offset - back, rows, done * P::kColumns);
    }
  }
  P::end();
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
