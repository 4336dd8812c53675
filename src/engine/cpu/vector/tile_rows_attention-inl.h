// Attention on the tile unit (AMX) of rows of activations: 32 queries of a head at a time. Their scores with a panel of
// keys are one product of tiles; they become weights on the vector units while the tile unit multiplies the next panel.
// Weights stand in tiles, and are multiplied by the values when all keys have been seen. Which keys count, and what
// becomes of rows whose scores are out of range, is as in attention-inl.h; biases of positions are computed there.
// Included once per target by kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Bf16Rows = VectorProduct<Bf16Dot<false>>;

// Where its parts are in scratch, after those of AttentionPlan; in bytes.
struct TileAttentionPlan {
  size_t queries, weights, scores, totals, total;
  size_t query_tiles, key_tiles;  // of a row: of 32 inputs, of 32 keys

  explicit TileAttentionPlan(const AttentionPlan<Bf16Rows>& plan)
      : query_tiles(plan.key_lanes / 16), key_tiles(plan.padded_length / 32) {
    queries = round_up_to(plan.total, 64);
    weights = queries + 2 * query_tiles * kTileUnitSize;
    scores = weights + 2 * key_tiles * kTileUnitSize;
    totals = scores + 2 * kPairSums * sizeof(float);  // of two panels in turn
    total = totals + 32 * kLanes * sizeof(float);
  }
};

struct NoInterleavedWork {
  HWY_INLINE void step() {}
};

template <class Tiles>
class TileRowsAttention : VectorAttention<Bf16Rows> {
  using Base = VectorAttention<Bf16Rows>;
  using Dot = Bf16Dot<false>;

 public:
  HWY_INLINE explicit TileRowsAttention(const AttentionArgs& args) : Base(args), tiles_(plan_) {}

  HWY_INLINE void run() {
    find_rows();
    pack_keys();
    pack_values();
    Tiles::configure();
    for (size_t head = 0; head < args_.query_heads; ++head) {
      column_ = head * args_.head_size;
      for (size_t row = 0; row < args_.query_rows; row += 32) {
        const size_t rows = std::min<size_t>(32, args_.query_rows - row);
        for (size_t r = row; r < row + rows; ++r) prefetch_next_head(r, head + 1 == args_.query_heads);
        take(row, rows);
      }
    }
    Tiles::release();
  }

 private:
  // Tile `step` of row r's sixteen, and the row in it.
  HWY_INLINE static std::byte* row_in_tile(std::byte* tiles, size_t tiles_a_row, size_t r, size_t step) {
    return tiles + (r / 16 * tiles_a_row + step) * kTileUnitSize + r % 16 * kTileUnitBytes;
  }
  HWY_INLINE float* scores(size_t turn) const { return part<float>(tiles_.scores) + turn * kPairSums; }

  // 32 rows of tiles (16, where there are no more) times `tiles` tiles of a panel.
  HWY_INLINE void multiply(const std::byte* a, size_t tiles_a_row, size_t tiles, size_t rows, const uint16_t* panel,
                           float* sums) const {
    NoInterleavedWork none;
    const auto* const weights = reinterpret_cast<const std::byte*>(panel);
    const std::byte* const lower = a + tiles_a_row * kTileUnitSize;
    if (rows > kTileUnitRows) {
      multiply_pair<Tiles, false, true>(a, lower, tiles, weights, sums, true, none);
    } else {
      multiply_pair<Tiles, false, false>(a, lower, tiles, weights, sums, true, none);
    }
  }
  HWY_INLINE void multiply_keys(size_t rows, size_t key, float* sums) const {
    multiply(part<std::byte>(tiles_.queries), tiles_.query_tiles, tiles_.query_tiles, rows, key_panel(key), sums);
  }

  // Context of rows [row, row + rows).
  HWY_INLINE void take(size_t row, size_t rows) {
    auto* const totals = part<float>(tiles_.totals);
    std::fill_n(totals, rows * kLanes, 0.0f);
    prepare_queries(row, rows);
    const size_t position = args_.first_position + row;
    const size_t first = mask_.first_key(position) / 32 * 32;
    const size_t end = round_up_to(mask_.end_key(position + rows - 1), 32);
    multiply_keys(rows, first, scores(0));
    size_t turn = 0;
    for (size_t key = first; key < end; key += kTileColumns, turn = 1 - turn) {
      if (key + kTileColumns < end) multiply_keys(rows, key + kTileColumns, scores(1 - turn));
      probabilities_of_keys(position, rows, key, scores(turn));
    }
    float inverse[32];
    for (size_t r = 0; r < rows; ++r) {
      float sum = hn::GetLane(hn::SumOfLanes(D(), hn::Load(D(), totals + r * kLanes)));
      if (!(sum >= 1e-30f && sum <= 1e30f)) sum = exact_probabilities(position + r, r, rows, first, end);
      inverse[r] = 1 / sum;
    }
    for (size_t column = 0; column < args_.head_size; column += kTileColumns) {
      multiply(part<std::byte>(tiles_.weights) + first / 32 * kTileUnitSize, tiles_.key_tiles, (end - first) / 32, rows,
               value_panel(column) + first * kTileColumns, scores(0));
      const size_t width = std::min(kTileColumns, args_.head_size - column);
      for (size_t r = 0; r < rows; ++r) {
        store_scaled(scores(0) + r * kTileColumns, width, inverse[r],
                     args_.context + (row + r) * args_.context_stride + column_ + column);
      }
    }
  }

  // Queries carry the scale, so that scores are powers of 2.
  HWY_INLINE void prepare_queries(size_t row, size_t rows) {
    const size_t head = args_.head_size;
    auto* const scaled = part<float>(plan_.staging);
    for (size_t r = 0; r < rows; ++r) {
      store_scaled(args_.queries + (row + r) * args_.query_stride + column_, head, args_.scale * kLog2E, scaled);
      for (size_t step = 0; step < tiles_.query_tiles; ++step) {
        const size_t inputs = std::min<size_t>(32, head - std::min(head, step * 32));
        auto* const to = row_in_tile(part<std::byte>(tiles_.queries), tiles_.query_tiles, r, step);
        convert_rows_to_bf16(scaled + step * 32, 0, 1, inputs, reinterpret_cast<uint16_t*>(to), 32, 1);
      }
    }
  }

  HWY_INLINE void probabilities_of_keys(size_t position, size_t rows, size_t key, const float* sums) const {
    switch (mask_.scores_of(position, position + rows - 1, key, key + kTileColumns)) {
      case Scores::kPlain:
        return probabilities_of_rows<Scores::kPlain>(position, rows, key, sums);
      case Scores::kLast:
        return probabilities_of_rows<Scores::kLast>(position, rows, key, sums);
      case Scores::kMasked:
        return probabilities_of_rows<Scores::kMasked>(position, rows, key, sums);
    }
  }
  template <Scores kScores>
  HWY_INLINE void probabilities_of_rows(size_t position, size_t rows, size_t key, const float* sums) const {
    const D d;
    for (size_t r = 0; r < rows; r += 16) {
      auto* const to = row_in_tile(part<std::byte>(tiles_.weights), tiles_.key_tiles, r, key / 32) + key % 32 * 2;
      const ProbabilitiesOut<uint16_t> out = {mask_,
                                              position + r,
                                              key,
                                              reinterpret_cast<uint16_t*>(to),
                                              kTileUnitBytes / 2,
                                              part<float>(tiles_.totals) + r * kLanes};
      for (size_t i = 0; i < std::min<size_t>(16, rows - r); ++i, sums += kTileColumns)
        probabilities_of<Dot, kScores>(hn::Load(d, sums), hn::Load(d, sums + kLanes), i, out);
    }
  }

  // The row at a position, r of its 32, with its largest score taken off; returns the sum of its weights.
  HWY_NOINLINE float exact_probabilities(size_t row, size_t r, size_t rows, size_t first, size_t end) const {
    auto* const row_scores = part<float>(plan_.row);
    for (size_t key = first; key < end; key += kTileColumns) {
      multiply_keys(rows, key, scores(0));
      std::copy_n(scores(0) + r * kTileColumns, kTileColumns, row_scores + key);
    }
    return row_probabilities(row_scores, row, first, end, [&](size_t key, uint16_t weight) {
      std::byte* const to = row_in_tile(part<std::byte>(tiles_.weights), tiles_.key_tiles, r, key / 32);
      reinterpret_cast<uint16_t*>(to)[key % 32] = weight;
    });
  }

  const TileAttentionPlan tiles_;
};

// What the tables of tiers name: attention on tiles in bf16, and biases of positions, which tell rows of tokens from
// one another by their distance, in fp32 on vectors.
template <class Tiles>
struct TileRowsScores : VectorProduct<Fp32Dot> {};

template <class Tiles>
struct RowsAttention<TileRowsScores<Tiles>> {
  static size_t scratch_bytes(size_t length, size_t head_size) {
    return std::max(AttentionPlan<VectorProduct<Fp32Dot>>(length, head_size).total,
                    TileAttentionPlan(AttentionPlan<Bf16Rows>(length, head_size)).total);
  }
  HWY_INLINE static void attend(const AttentionArgs& args) {
    if (args.positions != nullptr || args.distance_bias != nullptr)
      return VectorAttention<VectorProduct<Fp32Dot>>(args).run();
    TileRowsAttention<Tiles>(args).run();
  }
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
