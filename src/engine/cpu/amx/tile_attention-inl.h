// Attention of heads of one sequence on tiles. 32 queries meet 64 keys at a time (a key block): scores, exp2, and the
// product with the values are three stages of a pipeline, one key block apart, that goes on from head to head. While
// the vector units take exp2 of one key block the tile unit multiplies its two neighbours, a product or two for every
// four rows, so that both kinds of work are always among the instructions that the CPU looks at. Nothing of length x
// length is ever in memory; what is stays in the L1 cache, which is why key blocks are no larger and keys and values
// pass by it.
//
// exp2 is taken of the scores as they are. Only where a row's sum then leaves [1e-30, 1e30] or is no number (scores
// beyond about +-100, which trained models hardly have) are its 32 queries computed again with the largest score taken
// off. Which way a row takes depends on its sequence alone.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kChunkKeys = 64, kChunkTiles = kChunkKeys / 32;
constexpr size_t kQueryRows = 32;

constexpr size_t kScoresBytes = kQueryRows * kChunkKeys * 4;
constexpr size_t kProbabilitiesBytes = kQueryRows * kChunkKeys * 2;
constexpr size_t kTotalsBytes = kQueryRows * kTileRow;
// A load waits for stores on their way whose address has the same last 12 bits. Half a tile lies before the
// probabilities, so that a row of them is stored where no scores are just being read.
constexpr size_t kAliasPad = kTileBytes / 2;

// A step of the pipeline has sixteen parts: four rows of exp2 and some tile products. Scores of the 32 keys of one half
// are stored while exp2 reads those of the other, for the same reason.
constexpr size_t kStepParts = 16, kPartRows = 4;

// Blocks of queries that are between exp2 of their first keys and the end of their context.
constexpr size_t kPlaces = 3;

inline size_t attention_output_bytes(size_t head_tiles) { return 4 * head_tiles * kTileBytes; }

// Scores and probabilities: two in flight and one to compute again with; totals and outputs: see above.
size_t tile_attention_scratch(size_t head_tiles) {
  return kAliasPad + 3 * (kScoresBytes + kProbabilitiesBytes) +
         kPlaces * (kTotalsBytes + attention_output_bytes(head_tiles));
}

// kHeadTiles 0: any number.
template <class Tiles, size_t kHeadTiles>
class Attention {
 public:
  HWY_INLINE explicit Attention(const TileAttention& job)
      : job_(job), query_blocks_(blocks_of(job.query_rows)), positions_(job) {}

  HWY_INLINE void run() {
    KeyBlock scored = make_key_block(0, 0, first_chunk(0), 0, 0), exponentiated, added, done;
    while (scored.steps + exponentiated.steps + added.steps + done.steps != 0) {
      step(scored, exponentiated, added, done);
      done = added.steps != 0 && added.chunk == last_chunk(added.block) ? added : KeyBlock();
      added = exponentiated;
      exponentiated = scored;
      scored = next(scored);
    }
  }

 private:
  struct KeyBlock {
    size_t steps = 0;  // of 32 keys; 0: no key_block
    size_t head = 0, block = 0, chunk = 0;
    size_t key_head = 0;
    size_t rows = 0;
    size_t slot = 0;   // of scores and probabilities
    size_t place = 0;  // of totals and outputs
  };

  static size_t blocks_of(size_t rows) { return (rows + kQueryRows - 1) / kQueryRows; }
  // Chunks of keys that some row of the block sees.
  HWY_INLINE size_t first_chunk(size_t block) const { return job_.first_key ? 0 : window_chunk(block); }
  HWY_INLINE size_t window_chunk(size_t block) const {
    const size_t row = block * kQueryRows;
    return job_.window == 0 || row <= job_.window ? 0 : (row - job_.window) / kChunkKeys;
  }
  HWY_INLINE size_t next_chunk(size_t block, size_t chunk) const {
    return job_.first_key ? std::max(chunk + 1, window_chunk(block)) : chunk + 1;
  }
  HWY_INLINE size_t last_chunk(size_t block) const {
    const size_t last = job_.length - 1, row = block * kQueryRows + kQueryRows - 1;
    return (job_.window == 0 ? last : std::min(last, row + job_.window)) / kChunkKeys;
  }
  HWY_INLINE KeyBlock make_key_block(size_t head, size_t block, size_t chunk, size_t slot, size_t place) const {
    KeyBlock key_block;
    key_block.key_head = job_.group == 1 ? head : head / job_.group;
    key_block.head = head, key_block.block = block, key_block.chunk = chunk, key_block.slot = slot,
    key_block.place = place;
    key_block.steps = (keys_of(chunk) + 31) / 32;
    key_block.rows = std::min(kQueryRows, job_.query_rows - block * kQueryRows);
    return key_block;
  }
  HWY_INLINE KeyBlock next(const KeyBlock& i) const {
    if (i.steps == 0) return {};
    if (i.chunk < last_chunk(i.block))
      return make_key_block(i.head, i.block, next_chunk(i.block, i.chunk), 1 - i.slot, i.place);
    const bool more = i.block + 1 < query_blocks_;
    if (!more && i.head + 1 == job_.heads) return {};
    const size_t block = more ? i.block + 1 : 0;
    return make_key_block(more ? i.head : i.head + 1, block, first_chunk(block), 1 - i.slot, (i.place + 1) % kPlaces);
  }
  HWY_INLINE size_t keys_of(size_t chunk) const { return std::min(kChunkKeys, job_.length - chunk * kChunkKeys); }
  HWY_INLINE std::byte* scores(size_t slot) const { return job_.scratch + slot * kScoresBytes; }
  HWY_INLINE std::byte* probabilities(size_t slot) const { return scores(3) + kAliasPad + slot * kProbabilitiesBytes; }
  HWY_INLINE float* totals(size_t place) const {
    return reinterpret_cast<float*>(probabilities(3) + place * kTotalsBytes);
  }
  HWY_INLINE std::byte* output(size_t place) const {
    return probabilities(3) + kPlaces * kTotalsBytes + place * attention_output_bytes(head_tiles());
  }

  // Scores of `s`, exp2 of `e`, probabilities of `v` times values, and the context of a block that is complete.
  HWY_INLINE void step(const KeyBlock& s, const KeyBlock& e, const KeyBlock& v, const KeyBlock& done) {
    const bool begins = e.steps != 0 && e.chunk == first_chunk(e.block);
    if (begins) std::memset(totals(e.place), 0, kTotalsBytes);
    prepare_positions(e);
    Unit unit;
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      const size_t half = quarter % 2, row = quarter / 2 * 16;
      const bool whole = half < e.steps && row + 16 <= e.rows && is_unmasked(e, half);
#pragma GCC unroll 4
      for (size_t part = 0; part < kStepParts / 4; ++part) {
        if (whole) {
          softmax_rows<false, false>(e, half, row + part * kPartRows, kPartRows, nullptr);
        } else {
          softmax<false>(e, half, row + part * kPartRows, kPartRows, nullptr);
        }
#pragma GCC unroll 2
        for (size_t i = 0; i < head_tiles(); ++i) {
          const size_t step = part * head_tiles() + i;
          if (step % 4 == 0) unit = unit_of(s, v, quarter * head_tiles() + step / 4);
          multiply(step % 4, unit);
        }
      }
      if (quarter == 0 && done.steps != 0) {
        finish(done);
        prepare_positions(e);  // should some have been computed again
      }
    }
  }

  HWY_INLINE size_t head_tiles() const { return kHeadTiles != 0 ? kHeadTiles : job_.head_tiles; }
  HWY_INLINE size_t units() const { return kChunkTiles * head_tiles(); }  // for scores and for values

  enum class First { kNo, kZero, kLoad };
  struct Pair {  // of tiles
    const std::byte* first;
    size_t stride;
    HWY_INLINE const std::byte* second() const { return first + stride; }
  };
  // Four products: two row tiles by two column tiles.
  struct Unit {
    bool any = false, both = false;  // whether there are keys; whether the lower row tile has queries
    Pair a{}, b{};
    First first = First::kNo;
    bool last = false;
    Sums sums{};
  };

  // A step's units: those of the scores, then those with the values.
  HWY_INLINE Unit unit_of(const KeyBlock& s, const KeyBlock& v, size_t number) const {
    if (number < units()) return score_unit(s, number / head_tiles(), number % head_tiles());
    number -= units();
    return value_unit(v, number / kChunkTiles, number % kChunkTiles);
  }

  // 32 queries x keys [32 u, 32 u + 32) of the chunk, over 32 columns of the head.
  HWY_INLINE Unit score_unit(const KeyBlock& s, size_t u, size_t columns) const {
    if (u >= s.steps) return {};
    const std::byte* q =
        job_.queries + (s.head * head_tiles() + columns) * job_.query_stride + s.block * 2 * kTileBytes;
    const std::byte* k = job_.keys + (s.key_head * head_tiles() + columns) * job_.key_stride +
                         (s.chunk * kChunkKeys / 16 + 2 * u) * kTileBytes;
    return {true,
            s.rows > 16,
            {q, kTileBytes},
            {k, kTileBytes},
            columns == 0 ? First::kZero : First::kNo,
            columns + 1 == head_tiles(),
            {scores(s.slot) + 2 * u * kTileBytes, kScoresBytes / 2}};
  }

  // Output columns [32 pass, 32 pass + 32) += probabilities x values of keys [32 u, 32 u + 32) of the chunk.
  HWY_INLINE Unit value_unit(const KeyBlock& v, size_t pass, size_t u) const {
    if (u >= v.steps) return {};
    const std::byte* w = probabilities(v.slot) + u * kTileBytes;
    const std::byte* values = job_.values + (v.key_head * head_tiles() + pass) * job_.key_stride +
                              (v.chunk * kChunkKeys / 2 + u * 16) * kTileRow;
    const bool begins = v.chunk == first_chunk(v.block);
    return {true,
            v.rows > 16,
            {w, kProbabilitiesBytes / 2},
            {values, job_.key_stride / 2},
            u != 0   ? First::kNo
            : begins ? First::kZero
                     : First::kLoad,
            u + 1 == v.steps,
            {output(v.place) + 2 * pass * kTileBytes, 2 * head_tiles() * kTileBytes}};
  }

  // One of a unit's four products. Sums of the unit before that are complete go to memory tile by tile, each just
  // before it is needed again, so that nothing waits for them.
  HWY_INLINE void multiply(size_t quarter, const Unit& unit) {
    switch (quarter) {
      case 0:
        change_sums<0>(unit);
        if (!unit.any) return;
        Tiles::template load<4>(unit.a.first, kTileRow);
        Tiles::template load_stream<6>(unit.b.first, kTileRow);
        Tiles::template multiply_bf16<0, 4, 6>();
        return;
      case 1:
        change_sums<1>(unit);
        if (!unit.any) return;
        Tiles::template load_stream<7>(unit.b.second(), kTileRow);
        Tiles::template multiply_bf16<1, 4, 7>();
        return;
      case 2:
        change_sums<2>(unit);
        if (!unit.any || !unit.both) return;
        Tiles::template load<5>(unit.a.second(), kTileRow);
        Tiles::template multiply_bf16<2, 5, 6>();
        return;
      default:
        change_sums<3>(unit);
        if (unit.any && unit.both) Tiles::template multiply_bf16<3, 5, 7>();
        complete_ = unit.last ? unit.sums : Sums();
    }
  }

  template <int kTile>
  HWY_INLINE void change_sums(const Unit& unit) {
    if (complete_.at != nullptr) Tiles::template store<kTile>(complete_.template tile<kTile>(), kTileRow);
    if (unit.first == First::kZero) Tiles::template zero<kTile>();
    if (unit.first == First::kLoad) Tiles::template load<kTile>(unit.sums.template tile<kTile>(), kTileRow);
  }

  void store_complete() {
    if (complete_.at != nullptr) store_sums<Tiles>(complete_);
    complete_ = {};
  }

  HWY_INLINE const float* score_row(const KeyBlock& e, size_t r) const {
    return reinterpret_cast<const float*>(scores(e.slot) + r / 16 * (kScoresBytes / 2) + r % 16 * kTileRow);
  }

  // Between units of work only.
  HWY_INLINE void prepare_positions(const KeyBlock& e) {
    if (e.steps == 0 || !positions_.any()) return;
    store_complete();
    positions_.prepare(e.head, e.block, e.rows);
  }

  // Whether all rows see all of the 32 keys, and none otherwise for its distance.
  HWY_INLINE bool is_unmasked(const KeyBlock& e, size_t u) const {
    return keys_of(e.chunk) >= 32 * u + 32 && job_.window == 0 && job_.slope == 0 && !positions_.any();
  }

  // probabilities = exp2(scores - shift), in bf16, of some rows and 32 keys; adds them to the rows' totals.
  template <bool kShift>
  HWY_NOINLINE void softmax(const KeyBlock& e, size_t u, size_t first, size_t count, const float* shifts) {
    if (u >= e.steps || first >= e.rows) return;
    if (is_unmasked(e, u)) {
      softmax_rows<kShift, false>(e, u, first, std::min(e.rows - first, count), shifts);
    } else {
      softmax_rows<kShift, true>(e, u, first, std::min(e.rows - first, count), shifts);
    }
  }

  // Sixteen keys from `key` on, seen from `row`.
  HWY_INLINE static Row distance_of(size_t row, size_t key) {
    return make_row([&](size_t i) HWY_ATTR {
      const V keys = hn::Iota(D(), static_cast<float>(key + i * kLanes));
      return hn::Abs(hn::Sub(keys, hn::Set(D(), static_cast<float>(row))));
    });
  }
  HWY_INLINE float slope() const { return job_.slope * 1.44269504f * kScoreUnits; }
  HWY_INLINE Row with_slope(const Row& score, const Row& distance) const { return score - distance * set(slope()); }
  // Keys after the sequence's last and outside the window get a score whose weight is 0.
  HWY_INLINE Row apply_mask(const Row& score, const Row& distance, size_t key) const {
    const size_t here = job_.length > key ? std::min<size_t>(job_.length - key, 16) : 0;
    return make_row([&](size_t i) HWY_ATTR {
      const D d;
      auto seen = hn::FirstN(d, here > i * kLanes ? std::min(here - i * kLanes, kLanes) : 0);
      if (job_.window != 0) {
        auto near = hn::Le(distance.part[i], hn::Set(d, static_cast<float>(job_.window)));
        if (job_.first_key && key == 0 && i == 0) near = hn::Or(near, hn::FirstN(d, 1));
        seen = hn::And(seen, near);
      }
      return hn::IfThenElse(seen, score.part[i], hn::Set(d, -1e8f));
    });
  }

  // kPartly: not all of the 32 keys are seen alike by all rows. All rows are in one tile.
  template <bool kShift, bool kPartly>
  HWY_INLINE void softmax_rows(const KeyBlock& e, size_t u, size_t first, size_t count, const float* shifts) {
    const size_t key = e.chunk * kChunkKeys + 32 * u;
    float* total = totals(e.place) + first * 16;
    const float* from = score_row(e, first) + 2 * u * 256;
    std::byte* to =
        probabilities(e.slot) + first / 16 * (kProbabilitiesBytes / 2) + u * kTileBytes + first % 16 * kTileRow;
    for (size_t r = first; r < first + count; ++r, from += 16, to += kTileRow, total += 16) {
      Row low = load(from), high = load(from + 256), near = low, far = high;
      if constexpr (kShift) {
        low = low - set(shifts[r]);
        high = high - set(shifts[r]);
      }
      if constexpr (kPartly) {
        const size_t row = e.block * kQueryRows + r;
        if (positions_.any()) {
          low = low + load(positions_.bias(r, key));
          high = high + load(positions_.bias(r, key + 16));
        }
        near = distance_of(row, key);
        far = distance_of(row, key + 16);
        low = apply_mask(with_slope(low, near), near, key);
        high = apply_mask(with_slope(high, far), far, key + 16);
      }
      Row sum = load(total);
      store_exp2(low, high, sum, to);
      store(sum, total);
    }
  }

  // The sums of the block's rows; false where one is too small or too large, or no number.
  HWY_INLINE bool sum_rows(const KeyBlock& done, Row (&sums)[2]) const {
    bool safe = true;
    for (size_t first = 0; first < done.rows; first += 16) {
      sums[first / 16] = sums_of_rows(totals(done.place) + first * 16);
      safe = safe && all_between(sums[first / 16], std::min<size_t>(done.rows - first, 16), 1e-30f, 1e30f);
    }
    return safe;
  }

  HWY_INLINE void finish(const KeyBlock& done) {
    Row sums[2];
    if (!sum_rows(done, sums)) {  // one is enough: outputs and sums of all rows change
      compute_again(done);
      sum_rows(done, sums);
    }
    HWY_ALIGN float factors[kQueryRows];
    for (size_t first = 0; first < done.rows; first += 16) store(set(1) / sums[first / 16], factors + first);
    for (size_t r = 0; r < done.rows; ++r) store_context<true>(done, r, factors[r]);
    const size_t padded = job_.single_query ? done.rows : round_up(done.rows, 16);
    for (size_t r = done.rows; r < padded; ++r) store_context<false>(done, r, 0);
  }

  template <bool kWanted>  // else zeros, whatever the outputs are
  HWY_INLINE void store_context(const KeyBlock& done, size_t r, float factor) {
    const Row f = set(factor);
    const auto* from =
        reinterpret_cast<const float*>(output(done.place) + r / 16 * 2 * head_tiles() * kTileBytes + r % 16 * kTileRow);
    std::byte* to = job_.context + done.head * head_tiles() * kTileBytes +
                    (2 * done.block + r / 16) * job_.context_stride + r % 16 * kTileRow;
    for (size_t d = 0; d < head_tiles(); ++d, from += 512, to += kTileBytes) {
      store_bf16(kWanted ? load(from) * f : f, kWanted ? load(from + 256) * f : f, to);
    }
  }

  // The block's outputs and totals with each row's largest score taken off. Uses the tiles: between units of work only.
  HWY_NOINLINE void compute_again(const KeyBlock& done) {
    store_complete();
    if (positions_.any()) positions_.prepare(done.head, done.block, done.rows);
    float largest[kQueryRows];
    std::fill(largest, largest + kQueryRows, -3.0e38f);
    each_chunk(done, [&](const KeyBlock& e) {
      for (size_t r = 0; r < e.rows; ++r) {
        const float* row = score_row(e, r);
        for (size_t key = 0; key < keys_of(e.chunk); ++key) {
          const size_t own = e.block * kQueryRows + r, other = e.chunk * kChunkKeys + key;
          const size_t distance = own > other ? own - other : other - own;
          if (job_.window != 0 && distance > job_.window && !(job_.first_key && other == 0)) continue;
          float score = row[key / 16 * 256 + key % 16] - slope() * static_cast<float>(distance);
          if (positions_.any()) score += *positions_.bias(r, other);
          largest[r] = std::max(largest[r], score);
        }
      }
    });
    std::memset(totals(done.place), 0, kTotalsBytes);
    each_chunk(done, [&](const KeyBlock& e) {
      for (size_t u = 0; u < e.steps; ++u) {
        for (size_t first = 0; first < e.rows; first += 16) softmax<true>(e, u, first, 16, largest);
      }
      for (size_t unit = units(); unit < 2 * units(); ++unit) multiply_all(unit_of({}, e, unit));
    });
  }

  void multiply_all(const Unit& unit) {
    for (size_t quarter = 0; quarter < 4; ++quarter) multiply(quarter, unit);
    store_complete();
  }

  template <class Body>
  void each_chunk(const KeyBlock& done, const Body& body) {  // in the third slot: the others are on their way
    for (size_t chunk = first_chunk(done.block); chunk <= last_chunk(done.block);
         chunk = next_chunk(done.block, chunk)) {
      const KeyBlock e = make_key_block(done.head, done.block, chunk, 2, done.place);
      for (size_t unit = 0; unit < units(); ++unit) multiply_all(unit_of(e, {}, unit));
      body(e);
    }
  }

  const TileAttention& job_;
  const size_t query_blocks_;
  TilePositions<Tiles> positions_;
  Sums complete_;  // of the last unit, still in the tiles; null: none
};

template <class Tiles>
void tile_attention(const TileAttention& job) {
  Tiles::configure();
  switch (job.head_tiles) {
    case 1:
      Attention<Tiles, 1>(job).run();
      break;
    case 2:
      Attention<Tiles, 2>(job).run();
      break;
    default:
      Attention<Tiles, 0>(job).run();
  }
  Tiles::release();
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
