// Attention of one head of one sequence on tiles. 32 queries meet 128 keys at a time (an item): scores, exp2, and the
// product with the values are three stages of a pipeline, one item apart, so that while the vector units take exp2 of
// one item the tile unit multiplies its two neighbours. Nothing of length x length is ever in memory.
//
// exp2 is taken of the scores as they are. Only where a row's sum then leaves [1e-30, 1e30] or is no number (scores
// beyond about +-100, which trained models hardly have) are its 32 queries computed again with the largest score taken
// off. Which way a row takes depends on its sequence alone.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kChunkKeys = 128, kChunkTiles = kChunkKeys / 32;
constexpr size_t kQueryRows = 32;

constexpr size_t kScoresBytes = kQueryRows * kChunkKeys * 4;
constexpr size_t kWeightsBytes = kQueryRows * kChunkKeys * 2;
constexpr size_t kTotalsBytes = kQueryRows * kTileRow;
// A load waits for stores on their way whose address has the same last 12 bits. Half a tile lies before the weights, so
// that a row of them is stored where no scores are just being read.
constexpr size_t kSkew = kTileBytes / 2;

inline size_t attention_output_bytes(size_t head_tiles) { return 4 * head_tiles * kTileBytes; }

// Scores and weights: two in flight and one to compute again with; totals and outputs: two.
size_t tile_attention_scratch(size_t head_tiles) {
  return kSkew + 3 * (kScoresBytes + kWeightsBytes) + 2 * (kTotalsBytes + attention_output_bytes(head_tiles));
}

template <class Tiles>
class Attention {
 public:
  HWY_INLINE explicit Attention(const TileAttention& job)
      : job_(job),
        chunks_((job.length + kChunkKeys - 1) / kChunkKeys),
        blocks_((job.query_rows + kQueryRows - 1) / kQueryRows) {}

  HWY_INLINE void run() {
    const size_t items = chunks_ * blocks_;
    for (size_t t = 0; t < items + 2; ++t) {
      const Item none = {0, 0, 0, 0, 0};
      step(t < items ? item(t) : none, t >= 1 && t <= items ? item(t - 1) : none, t >= 2 ? item(t - 2) : none);
      if (t >= 2 && (t - 1) % chunks_ == 0) finish((t - 2) / chunks_);
    }
  }

 private:
  struct Item {
    size_t block, chunk;
    size_t steps;  // of 32 keys; 0: no item
    size_t slot;   // of scores and weights
    size_t rows;
  };

  HWY_INLINE Item item(size_t t) const { return make_item(t / chunks_, t % chunks_, t % 2); }
  HWY_INLINE Item make_item(size_t block, size_t chunk, size_t slot) const {
    return {block, chunk, (keys_of(chunk) + 31) / 32, slot, std::min(kQueryRows, job_.query_rows - block * kQueryRows)};
  }
  HWY_INLINE size_t keys_of(size_t chunk) const { return std::min(kChunkKeys, job_.length - chunk * kChunkKeys); }
  HWY_INLINE std::byte* scores(size_t slot) const { return job_.scratch + slot * kScoresBytes; }
  HWY_INLINE std::byte* weights(size_t slot) const { return scores(3) + kSkew + slot * kWeightsBytes; }
  HWY_INLINE float* totals(size_t block) const {
    return reinterpret_cast<float*>(weights(3) + block % 2 * kTotalsBytes);
  }
  HWY_INLINE std::byte* output(size_t block) const {
    return weights(3) + 2 * kTotalsBytes + block % 2 * attention_output_bytes(job_.head_tiles);
  }

  // One beat of the pipeline: in the shadow of each stretch of tile products there is one block of exp2. Blocks with
  // even and odd numbers lie in different halves of the last 12 bits of addresses (see kSkew), so that exp2 never reads
  // where sums are just being stored.
  HWY_INLINE void step(const Item& s, const Item& e, const Item& v) {
    const size_t half = (job_.head_tiles + 1) / 2;
    if (e.steps != 0 && e.chunk == 0) std::memset(totals(e.block), 0, kTotalsBytes);
    score_block(s, 0);
    score_block(s, 2);
    weigh_block<false>(e, 1, nullptr);
    for (size_t pass = 0; pass < half; ++pass) add_values(v, pass);
    weigh_block<false>(e, 3, nullptr);
    score_block(s, 1);
    score_block(s, 3);
    weigh_block<false>(e, 0, nullptr);
    for (size_t pass = half; pass < job_.head_tiles; ++pass) add_values(v, pass);
    weigh_block<false>(e, 2, nullptr);
  }

  // 32 queries x keys [32 u, 32 u + 32) of the chunk.
  HWY_INLINE void score_block(const Item& s, size_t u) {
    if (u >= s.steps) return;
    const bool two = s.rows > 16;
    const std::byte* q = job_.queries + s.block * 2 * kTileBytes;
    const std::byte* k = job_.keys + (s.chunk * kChunkKeys / 16 + 2 * u) * kTileBytes;
    zero_sums<Tiles>();
    for (size_t d = 0; d < job_.head_tiles; ++d, q += job_.query_stride, k += job_.key_stride) {
      Tiles::template load<4>(q, kTileRow);
      Tiles::template load<6>(k, kTileRow);
      Tiles::template multiply_bf16<0, 4, 6>();
      Tiles::template load<7>(k + kTileBytes, kTileRow);
      Tiles::template multiply_bf16<1, 4, 7>();
      if (!two) continue;
      Tiles::template load<5>(q + kTileBytes, kTileRow);
      Tiles::template multiply_bf16<2, 5, 6>();
      Tiles::template multiply_bf16<3, 5, 7>();
    }
    store_sums<Tiles>(scores(s.slot) + 2 * u * kTileBytes, kScoresBytes / 2);
  }

  HWY_INLINE const float* score_row(const Item& e, size_t r) const {
    return reinterpret_cast<const float*>(scores(e.slot) + r / 16 * (kScoresBytes / 2) + r % 16 * kTileRow);
  }

  // weights = exp2(scores - shift), in bf16, of all rows and 32 keys; adds them to the rows' totals.
  template <bool kShift>
  HWY_INLINE void weigh_block(const Item& e, size_t u, const float* shifts) {
    if (u >= e.steps) return;
    if (keys_of(e.chunk) - 32 * u >= 32 && job_.window == 0 && job_.slope == 0) {
      weigh_rows<kShift, false>(e, u, shifts);
    } else {
      weigh_rows<kShift, true>(e, u, shifts);
    }
  }

  // Sixteen keys from `key` on, seen from `row`.
  HWY_INLINE static Row distance_of(size_t row, size_t key) {
    return make_row([&](size_t i) HWY_ATTR {
      const V keys = hn::Iota(D(), static_cast<float>(key + i * kLanes));
      return hn::Abs(hn::Sub(keys, hn::Set(D(), static_cast<float>(row))));
    });
  }
  HWY_INLINE Row with_slope(const Row& score, const Row& distance) const {
    return score - distance * set(job_.slope * 1.44269504f);
  }
  // Keys behind the sequence's last and outside the window weigh 0.
  HWY_INLINE Row keep_seen(const Row& weight, const Row& distance, size_t key) const {
    const Row kept = first_lanes(weight, job_.length > key ? std::min<size_t>(job_.length - key, 16) : 0);
    if (job_.window == 0) return kept;
    return make_row([&](size_t i) HWY_ATTR {
      const auto near = hn::Le(distance.part[i], hn::Set(D(), static_cast<float>(job_.window)));
      return hn::IfThenElseZero(near, kept.part[i]);
    });
  }

  // kPartly: not all of the 32 keys are seen alike by all rows.
  template <bool kShift, bool kPartly>
  HWY_INLINE void weigh_rows(const Item& e, size_t u, const float* shifts) {
    const size_t key = e.chunk * kChunkKeys + 32 * u;
    float* total = totals(e.block);
    for (size_t tile = 0; tile < e.rows; tile += 16) {
      const float* from = score_row(e, tile) + 2 * u * 256;
      std::byte* to = weights(e.slot) + tile / 16 * (kWeightsBytes / 2) + u * kTileBytes;
      const size_t rows = std::min<size_t>(16, e.rows - tile);
      for (size_t r = 0; r < rows; ++r, from += 16, to += kTileRow, total += 16) {
        Row low = load(from), high = load(from + 256), near = low, far = high;
        if constexpr (kPartly) {
          const size_t row = e.block * kQueryRows + tile + r;
          near = distance_of(row, key);
          far = distance_of(row, key + 16);
          low = with_slope(low, near);
          high = with_slope(high, far);
        }
        if constexpr (kShift) {
          low = low - set(shifts[tile + r]);
          high = high - set(shifts[tile + r]);
        }
        low = exp2_row(low);
        high = exp2_row(high);
        if constexpr (kPartly) {
          low = keep_seen(low, near, key);
          high = keep_seen(high, far, key + 16);
        }
        store(load(total) + (low + high), total);
        store_bf16<Tiles>(low, high, to);
      }
    }
  }

  // Output columns [32 pass, 32 pass + 32) += weights x values of the chunk.
  HWY_INLINE void add_values(const Item& v, size_t pass) {
    if (v.steps == 0) return;
    const bool two = v.rows > 16;
    std::byte* const sums = output(v.block) + 2 * pass * kTileBytes;
    const size_t stride = 2 * job_.head_tiles * kTileBytes;
    if (v.chunk == 0) {
      zero_sums<Tiles>();
    } else {
      load_sums<Tiles>(sums, stride);
    }
    const std::byte* w = weights(v.slot);
    const std::byte* left = job_.values + pass * job_.key_stride + v.chunk * kChunkKeys / 2 * kTileRow;
    const std::byte* right = left + job_.key_stride / 2;
    for (size_t u = 0; u < v.steps; ++u, w += kTileBytes, left += kTileBytes, right += kTileBytes) {
      Tiles::template load<4>(w, kTileRow);
      Tiles::template load<6>(left, kTileRow);
      Tiles::template multiply_bf16<0, 4, 6>();
      Tiles::template load<7>(right, kTileRow);
      Tiles::template multiply_bf16<1, 4, 7>();
      if (!two) continue;
      Tiles::template load<5>(w + kWeightsBytes / 2, kTileRow);
      Tiles::template multiply_bf16<2, 5, 6>();
      Tiles::template multiply_bf16<3, 5, 7>();
    }
    store_sums<Tiles>(sums, stride);
  }

  HWY_INLINE void finish(size_t block) {
    const size_t rows = std::min(kQueryRows, job_.query_rows - block * kQueryRows);
    float sums[kQueryRows];
    bool safe = true;
    for (size_t r = 0; r < rows; ++r) {
      sums[r] = sum_of(load(totals(block) + r * 16));
      safe = safe && sums[r] >= 1e-30f && sums[r] <= 1e30f;
    }
    if (!safe) compute_again(block, sums);
    const size_t padded = job_.lone ? rows : round_up(rows, 16);
    for (size_t r = 0; r < padded; ++r) store_context(block, r, r < rows ? 1 / sums[r] : 0);
  }

  HWY_INLINE void store_context(size_t block, size_t r, float factor) {
    const Row f = set(factor);
    const bool wanted = factor != 0;
    const auto* from =
        reinterpret_cast<const float*>(output(block) + r / 16 * 2 * job_.head_tiles * kTileBytes + r % 16 * kTileRow);
    std::byte* to = job_.context + (2 * block + r / 16) * job_.context_stride + r % 16 * kTileRow;
    for (size_t d = 0; d < job_.head_tiles; ++d, from += 512, to += kTileBytes) {
      store_bf16<Tiles>(wanted ? load(from) * f : f, wanted ? load(from + 256) * f : f, to);
    }
  }

  // The block's outputs and totals with each row's largest score taken off.
  HWY_NOINLINE void compute_again(size_t block, float* sums) {
    float largest[kQueryRows];
    std::fill(largest, largest + kQueryRows, -3.0e38f);
    each_chunk(block, [&](const Item& e) {
      for (size_t r = 0; r < e.rows; ++r) {
        const float* row = score_row(e, r);
        for (size_t key = 0; key < keys_of(e.chunk); ++key) {
          const size_t own = e.block * kQueryRows + r, other = e.chunk * kChunkKeys + key;
          const size_t distance = own > other ? own - other : other - own;
          if (job_.window != 0 && distance > job_.window) continue;
          const float slope = job_.slope * 1.44269504f * static_cast<float>(distance);
          largest[r] = std::max(largest[r], row[key / 16 * 256 + key % 16] - slope);
        }
      }
    });
    std::memset(totals(block), 0, kTotalsBytes);
    each_chunk(block, [&](const Item& e) {
      for (size_t u = 0; u < e.steps; ++u) weigh_block<true>(e, u, largest);
      for (size_t pass = 0; pass < job_.head_tiles; ++pass) add_values(e, pass);
    });
    for (size_t r = 0; r < std::min(kQueryRows, job_.query_rows - block * kQueryRows); ++r) {
      sums[r] = sum_of(load(totals(block) + r * 16));
    }
  }

  template <class Body>
  void each_chunk(size_t block, const Body& body) {  // in the third slot: the others are on their way
    for (size_t chunk = 0; chunk < chunks_; ++chunk) {
      const Item e = make_item(block, chunk, 2);
      for (size_t u = 0; u < e.steps; ++u) score_block(e, u);
      body(e);
    }
  }

  const TileAttention& job_;
  const size_t chunks_, blocks_;
};

template <class Tiles>
void tile_attention(const TileAttention& job) {
  Tiles::configure();
  Attention<Tiles>(job).run();
  Tiles::release();
}

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
