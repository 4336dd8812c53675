// What positions add to scores of one head of one sequence, a tile of queries x a panel of keys at a time: products
// with projections of relative positions (DeBERTa), and biases by distance (MPNet). Included once per target by
// kernels.cc.
//
// Both products are read along diagonals. Panels of positions have a column for each distance, so that for one query
// and keys in order, or for one key and queries in order, what is wanted stands side by side: the first is read so, the
// second (of a block of queries) is transposed while it is read, 16 x 16 at a time. Nothing is kept for each pair of
// tokens: the tables grow with the length alone.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class P>
class PositionBias {
  using Element = typename P::Element;
  static constexpr size_t kColumns = P::kColumns, kBlock = P::kBlockRows;
  static constexpr size_t kTransposed = 16;  // rows that are transposed together
  static constexpr size_t kKeyStride = kBlock + kColumns + kTransposed;
  static_assert(kBlock % kColumns == 0 && kBlock % kTileRows == 0 && kTileRows <= kTransposed);

 public:
  // How the scratch is shared out, in bytes.
  struct Plan {
    size_t row_stride, query_stride;  // in elements, in floats
    size_t rows, queries, keys, tile, total;
    Plan(size_t length, size_t head) {
      const size_t padded = round_up_to(length, kColumns);
      row_stride = round_up_to(P::steps_of(head), 16);
      query_stride = padded + 3 * kColumns + 16;
      rows = 0;
      queries = rows + (P::kGroup == 1 ? 0 : round_up_to(padded * row_stride * sizeof(Element), 64));
      keys = queries + round_up_to(kTileRows * query_stride * sizeof(float), 64);
      tile = keys + padded * kKeyStride * sizeof(float);
      total = tile + kTransposed * kColumns * sizeof(float);
    }
  };

  HWY_INLINE explicit PositionBias(const AttentionArgs& args)
      : args_(args), plan_(args.length, args.head_size), steps_(P::steps_of(args.head_size)) {}

  HWY_INLINE bool any() const { return args_.positions != nullptr || args_.distance_bias != nullptr; }

  // Before the first query.
  HWY_INLINE void begin() {
    if constexpr (P::kGroup != 1) {
      if (args_.positions == nullptr || args_.positions->queries == nullptr) return;
      P::Step::convert_rows(args_.pieces[0].keys, args_.pieces[0].stride, args_.length, args_.head_size,
                            part<Element>(plan_.rows), plan_.row_stride, args_.length);
    }
  }

  // Before the tile of queries [row, row + rows), which sees keys [first, end).
  HWY_INLINE void begin_tile(const Element* queries, size_t stride, size_t row, size_t rows, size_t first, size_t end) {
    if (args_.positions == nullptr) return;
    if (args_.positions->queries != nullptr && row % kBlock == 0) multiply_keys(row);
    if (args_.positions->keys == nullptr) return;
    const ptrdiff_t from = panel_of(static_cast<ptrdiff_t>(first) - static_cast<ptrdiff_t>(row + rows - 1));
    const ptrdiff_t to = panel_of(static_cast<ptrdiff_t>(end) - 1 - static_cast<ptrdiff_t>(row));
    nearest_ = from * static_cast<ptrdiff_t>(kColumns);
    for (ptrdiff_t panel = from; panel <= to; ++panel) {
      P::multiply_steps({queries, stride}, rows, steps_, panel_at(args_.positions->keys, panel),
                        {nullptr, nullptr, part<float>(plan_.queries) + (panel - from) * kColumns, plan_.query_stride});
    }
  }

  // [rows][kColumns]: of queries from `row` on, which is number r of the tile, and keys from `key` on.
  HWY_INLINE const float* fill(size_t row, size_t r, size_t rows, size_t key) {
    auto* tile = part<float>(plan_.tile);
    if (args_.positions != nullptr && args_.positions->queries != nullptr) {
      for (size_t b = 0; b < kColumns; b += kBlockColumns) {
        const float* from = part<float>(plan_.keys) + (key + b) * kKeyStride + (row - block_) + kColumns - b;
        transpose_block(reinterpret_cast<const uint32_t*>(from), kKeyStride - 1, reinterpret_cast<uint32_t*>(tile) + b,
                        kColumns, kTransposed);
      }
    } else {
      std::fill_n(tile, rows * kColumns, 0.0f);
    }
    for (size_t i = 0; i < rows; ++i) {
      const ptrdiff_t distance = static_cast<ptrdiff_t>(key) - static_cast<ptrdiff_t>(row + i);
      if (args_.positions != nullptr && args_.positions->keys != nullptr)
        add(part<float>(plan_.queries) + (r + i) * plan_.query_stride + (distance - nearest_), tile + i * kColumns);
      if (args_.distance_bias != nullptr) add(args_.distance_bias + distance, tile + i * kColumns);
    }
    return tile;
  }

 private:
  template <class T>
  HWY_INLINE T* part(size_t offset) const {
    return reinterpret_cast<T*>(args_.position_scratch + offset);
  }
  HWY_INLINE static void add(const float* from, float* to) {
    const D d;
    for (size_t c = 0; c < kColumns; c += kLanes)
      hn::StoreU(hn::Add(hn::LoadU(d, to + c), hn::LoadU(d, from + c)), d, to + c);
  }
  // The panel of a distance; the outermost ones stand for all beyond them.
  HWY_INLINE static ptrdiff_t panel_of(ptrdiff_t distance) {
    constexpr auto kWidth = static_cast<ptrdiff_t>(kColumns);
    return (distance >= 0 ? distance : distance - kWidth + 1) / kWidth;
  }
  HWY_INLINE const Element* panel_at(const std::byte* panels, ptrdiff_t panel) const {
    const auto half = static_cast<ptrdiff_t>(args_.positions->half);
    const ptrdiff_t number = std::clamp<ptrdiff_t>(panel, -half, half - 1) + half;
    return reinterpret_cast<const Element*>(panels + number * static_cast<ptrdiff_t>(panel_bytes<P>(args_.head_size)));
  }

  // Of all keys, with the positions that queries [row, row + kBlock) are away from them.
  HWY_INLINE void multiply_keys(size_t row) {
    block_ = row;
    const size_t rows = std::min(kBlock, args_.query_rows - row);
    const size_t panels = round_up_to(rows, kColumns) / kColumns + 1;
    for (size_t key = 0; key < args_.length; key += kColumns) {
      const size_t count = std::min(kColumns, args_.length - key);
      Rows<Element> keys;
      if constexpr (P::kGroup == 1) {
        keys = {args_.pieces[0].keys + key * args_.pieces[0].stride, args_.pieces[0].stride};
      } else {
        keys = {part<Element>(plan_.rows) + key * plan_.row_stride, plan_.row_stride};
      }
      const ptrdiff_t nearest = panel_of(static_cast<ptrdiff_t>(row) - static_cast<ptrdiff_t>(key)) - 1;
      for (size_t p = 0; p < panels; ++p) {
        P::multiply_steps(keys, count, steps_, panel_at(args_.positions->queries, nearest + static_cast<ptrdiff_t>(p)),
                          {nullptr, nullptr, part<float>(plan_.keys) + key * kKeyStride + p * kColumns, kKeyStride});
      }
    }
  }

  const AttentionArgs& args_;
  const Plan plan_;
  const size_t steps_;
  size_t block_ = 0;       // first query of the block whose products with keys are there
  ptrdiff_t nearest_ = 0;  // the distance of the first column of the queries' products
};

template <class P>
size_t position_scratch(size_t length, size_t head_size) {
  return typename PositionBias<P>::Plan(length, head_size).total;
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
