// What positions add to the scores of 32 queries of one head: products with projections of relative positions
// (DeBERTa) and biases by distance (MPNet), as rows of fp32 in the units of scores. Included once per target by
// tile_kernels.cc.
//
// Positions lie in tiles of 16 distances, like keys. Products with queries have a column for each distance, so that the
// keys of one query stand side by side, one further for each row. Products of keys with positions are read along
// diagonals, and transposed while they are.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {

// How the scratch is shared out, in bytes.
struct PositionPlan {
  size_t key_tiles, query_stride, bias_stride;  // strides in floats
  size_t keys, queries, diagonal, bias, total;
  PositionPlan(size_t length, size_t head_tiles) {
    key_tiles = round_up(length, 16) / 16;
    query_stride = (key_tiles + 2) * 16;
    bias_stride = round_up(length, 64);
    keys = 0;
    queries = keys + key_tiles * head_tiles * kTileBytes;
    diagonal = queries + 16 * query_stride * sizeof(float) + kTileRow;
    bias = diagonal + 16 * kDiagonalStride * sizeof(float);
    total = bias + 32 * bias_stride * sizeof(float);
  }
  static constexpr size_t kDiagonalStride = 32;
};

size_t tile_position_scratch(size_t length, size_t head_tiles) { return PositionPlan(length, head_tiles).total; }

template <class Tiles>
class TilePositions {
 public:
  HWY_INLINE explicit TilePositions(const TileAttention& job) : job_(job), plan_(job.length, job.head_tiles) {}

  HWY_INLINE bool any() const { return has_positions() || job_.distance_bias != nullptr; }

  // Makes bias() that of the queries [32 block, 32 block + rows) of a head. Uses the tiles.
  HWY_NOINLINE void prepare(size_t head, size_t block, size_t rows) {
    if (head == head_ && block == block_) return;
    if (head != head_ && job_.position_queries != nullptr) transpose_keys(head);
    head_ = head, block_ = block;
    for (size_t first = 0; first < rows; first += 16) {
      const size_t row = block * 32 + first;
      float* bias = part(plan_.bias) + first * plan_.bias_stride;
      if (job_.position_queries != nullptr) {
        for (size_t tile = 0; tile < plan_.key_tiles; ++tile) multiply_keys(row, tile, bias + tile * 16);
      } else {
        std::memset(bias, 0, 16 * plan_.bias_stride * sizeof(float));
      }
      if (job_.position_keys != nullptr) multiply_queries(row);
      for (size_t r = 0; r < std::min<size_t>(16, rows - first); ++r) add_row(row, r, bias + r * plan_.bias_stride);
    }
  }

  // Of query `r` of the block and the keys from `key` on.
  HWY_INLINE const float* bias(size_t r, size_t key) const { return part(plan_.bias) + r * plan_.bias_stride + key; }

 private:
  HWY_INLINE bool has_positions() const { return job_.position_keys != nullptr || job_.position_queries != nullptr; }
  HWY_INLINE float* part(size_t offset) const { return reinterpret_cast<float*>(job_.position_scratch + offset); }
  HWY_INLINE std::byte* key_rows(size_t tile) const {
    return job_.position_scratch + plan_.keys + tile * job_.head_tiles * kTileBytes;
  }
  // Sixteen distances from 16 `tile` on, 32 columns of the head; the outermost tiles stand for all beyond them.
  HWY_INLINE const std::byte* position(const std::byte* tiles, ptrdiff_t tile, size_t columns) const {
    const auto half = static_cast<ptrdiff_t>(job_.position_half);
    const auto number = static_cast<size_t>(std::clamp<ptrdiff_t>(tile, -half, half - 1) + half);
    return tiles + ((head_ * job_.head_tiles + columns) * 2 * job_.position_half + number) * kTileBytes;
  }

  // Keys as rows, which they are not: a tile of theirs is transposed in 32-bit groups.
  HWY_INLINE void transpose_keys(size_t head) {
    for (size_t tile = 0; tile < plan_.key_tiles; ++tile) {
      for (size_t c = 0; c < job_.head_tiles; ++c) {
        const std::byte* from = job_.keys + (head * job_.head_tiles + c) * job_.key_stride + tile * kTileBytes;
        transpose_16x16(reinterpret_cast<const uint32_t*>(from), 16,
                        reinterpret_cast<uint32_t*>(key_rows(tile) + c * kTileBytes), 16);
      }
    }
  }

  // out [16 queries from `row` on][16 keys] = the keys' products with their distances.
  HWY_INLINE void multiply_keys(size_t row, size_t tile, float* out) {
    const ptrdiff_t near = static_cast<ptrdiff_t>(row / 16) - static_cast<ptrdiff_t>(tile);
    Tiles::template zero<0>();
    Tiles::template zero<1>();
    for (size_t c = 0; c < job_.head_tiles; ++c) {
      Tiles::template load<4>(key_rows(tile) + c * kTileBytes, kTileRow);
      Tiles::template load<6>(position(job_.position_queries, near - 1, c), kTileRow);
      Tiles::template load<7>(position(job_.position_queries, near, c), kTileRow);
      Tiles::template multiply_bf16<0, 4, 6>();
      Tiles::template multiply_bf16<1, 4, 7>();
    }
    float* diagonal = part(plan_.diagonal);
    constexpr size_t kStride = PositionPlan::kDiagonalStride;
    Tiles::template store<0>(diagonal, kStride * sizeof(float));
    Tiles::template store<1>(diagonal + 16, kStride * sizeof(float));
    // Key t of the tile is t nearer to each query: its row begins one earlier than that of the key before.
    transpose_16x16(reinterpret_cast<const uint32_t*>(diagonal + 16), kStride - 1, reinterpret_cast<uint32_t*>(out),
                    plan_.bias_stride);
  }

  // Products of 16 queries with the distances of all keys: column 0 is the distance -(row + 16).
  HWY_INLINE void multiply_queries(size_t row) {
    const ptrdiff_t first = -static_cast<ptrdiff_t>(row / 16) - 1;
    const std::byte* queries = job_.queries + head_ * job_.head_tiles * job_.query_stride + row / 16 * kTileBytes;
    for (size_t tile = 0; tile <= plan_.key_tiles; ++tile) {
      Tiles::template zero<0>();
      for (size_t c = 0; c < job_.head_tiles; ++c) {
        Tiles::template load<4>(queries + c * job_.query_stride, kTileRow);
        Tiles::template load<6>(position(job_.position_keys, first + static_cast<ptrdiff_t>(tile), c), kTileRow);
        Tiles::template multiply_bf16<0, 4, 6>();
      }
      Tiles::template store<0>(part(plan_.queries) + tile * 16, plan_.query_stride * sizeof(float));
    }
  }

  // What remains of query row + r: its own products, one further with each row, and the head's biases.
  HWY_INLINE void add_row(size_t row, size_t r, float* bias) {
    const float* products = part(plan_.queries) + r * plan_.query_stride + 16 - r;
    const float* biases = nullptr;
    if (job_.distance_bias != nullptr) biases = job_.distance_bias + head_ * job_.distance_stride - (row + r);
    for (size_t key = 0; key < plan_.key_tiles * 16; key += 16) {
      Row sum = load_any(bias + key);
      if (job_.position_keys != nullptr) sum = sum + load_any(products + key);
      if (biases != nullptr) sum = sum + load_any(biases + key);
      store(sum, bias + key);
    }
  }
  HWY_INLINE static Row load_any(const float* from) {
    return make_row([&](size_t i) HWY_ATTR { return hn::LoadU(D(), from + i * kLanes); });
  }

  const TileAttention& job_;
  const PositionPlan plan_;
  size_t head_ = SIZE_MAX, block_ = SIZE_MAX;  // that bias() is of
};

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
