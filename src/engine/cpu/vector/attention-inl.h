// Attention of one head of one sequence on vector units: a few queries at a time against the keys they see. A register
// tile of scores becomes weights before it leaves the registers, so that nothing of length x length is ever in memory.
//
// exp2 is taken of the scores as they are. Only where a row's sum then leaves [1e-30, 1e30] or is no number (scores
// beyond about +-100, which trained models hardly have) is that row computed again with its largest score taken off.
// Which way a row takes depends on the row alone. Included once per target by kernels.cc.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr float kLog2E = 1.44269504f;

// How attention() shares out its scratch; strides in elements.
template <class P>
struct AttentionPlan {
  using Element = typename P::Element;
  size_t key_lanes, padded_length, padded_head, query_stride, weight_stride;
  size_t keys, values, staging, queries, weights, totals, output, row, places;  // where each part begins, in bytes
  size_t total;

  AttentionPlan(size_t length, size_t head)
      : key_lanes(round_up_to(P::steps_of(head) / P::kGroup, 16)),
        padded_length(round_up_to(length, std::max(P::kColumns, P::Step::kStep))),
        padded_head(round_up_to(head, P::kColumns)),
        query_stride(key_lanes * P::kGroup),
        weight_stride(odd_lines(padded_length)) {
    keys = 0;
    values = keys + padded_length * key_lanes * 4;
    staging = values + round_up_to(padded_head * padded_length * sizeof(Element), 64);
    queries = staging + kBlockColumns * key_lanes * sizeof(float) * P::kGroup;
    weights = queries + kTileRows * query_stride * sizeof(Element);
    totals = weights + kTileRows * weight_stride * sizeof(Element);
    output = totals + kTileRows * kLanes * sizeof(float);
    row = output + kTileRows * padded_head * sizeof(float);
    places = row + padded_length * sizeof(float);
    total = places + 2 * padded_length * sizeof(const float*);
  }

  // An odd number of cache lines, so that the rows of a tile do not share cache sets.
  static size_t odd_lines(size_t elements) {
    return (round_up_to(elements * sizeof(Element), 64) / 64 | 1) * 64 / sizeof(Element);
  }
};

enum class Scores {
  kPlain,   // all count, as they are
  kLast,    // those of keys that are there
  kMasked,  // each as the mask, slope, cap and position say
};

// The score of a key some positions away, before exp2, and whether it counts at all. Rows are positions.
struct AttentionMask {
  const AttentionArgs& args;

  const bool sees_all;   // every row every key
  const bool as_scored;  // scores count as they are

  HWY_INLINE explicit AttentionMask(const AttentionArgs& a)
      : args(a),
        sees_all(a.before >= a.length && a.after >= a.length),
        as_scored(a.slope == 0 && a.softcap == 0 && a.positions == nullptr && a.distance_bias == nullptr) {}
  HWY_INLINE size_t first_key(size_t row) const { return sees_all || row < args.before ? 0 : row - args.before; }
  HWY_INLINE size_t end_key(size_t last_row) const {
    return sees_all ? args.length : std::min(args.length, last_row + args.after + 1);
  }
  // What rows [row, last_row] do with scores of keys [key, end).
  HWY_INLINE Scores scores_of(size_t row, size_t last_row, size_t key, size_t end) const {
    if (!as_scored) return Scores::kMasked;
    if (end <= end_key(row) && key >= first_key(last_row)) return Scores::kPlain;
    return sees_all ? Scores::kLast : Scores::kMasked;
  }
  // Vectors of keys from `key` on, seen from `row`: positions behind it.
  HWY_INLINE V offset(size_t row, size_t key) const {
    const D d;
    return hn::Sub(hn::Iota(d, static_cast<float>(key)), hn::Set(d, static_cast<float>(row)));
  }
  HWY_INLINE V adjust(V score, V offset) const {
    const D d;
    if (args.softcap != 0) {
      const float cap = args.softcap * kLog2E;
      score = hn::Mul(hn::Set(d, cap), tanh_vector(d, hn::Mul(score, hn::Set(d, 1 / cap))));
    }
    return hn::NegMulAdd(hn::Abs(offset), hn::Set(d, args.slope * kLog2E), score);
  }
  HWY_INLINE V drop_missing(V weight, size_t key) const {
    const size_t left = args.length > key ? std::min(args.length - key, kLanes) : 0;
    return hn::IfThenElseZero(hn::FirstN(D(), left), weight);
  }
  HWY_INLINE V apply_mask(V weight, V offset, size_t key) const {
    const D d;
    const V kept = drop_missing(weight, key);
    const auto seen = hn::And(hn::Le(offset, hn::Set(d, static_cast<float>(args.after))),
                              hn::Ge(offset, hn::Set(d, -static_cast<float>(args.before))));
    return hn::IfThenElseZero(seen, kept);
  }
};

// Two vectors of weights, as the next product reads them.
template <class Dot>
HWY_INLINE void store_weights(V low, V high, typename Dot::Element* to) {
  const D d;
  if constexpr (Dot::kGroup == 1) {
    hn::Store(low, d, to);
    hn::Store(high, d, to + kLanes);
  } else {
    Dot::store_pair(low, high, to);
  }
}

// Where the weights of a tile of rows go, and what they are of.
template <class Element>
struct ProbabilitiesOut {
  const AttentionMask& mask;
  size_t row, key;  // of the tile's first; positions
  Element* weights;
  size_t stride;
  float* totals;                // [rows][kLanes]
  const float* bias = nullptr;  // of scores, [rows][kTileColumns]; null: none
};

// Two vectors of row r's scores -> weights, and their sum onto the row's total.
template <class Dot, Scores kScores>
HWY_INLINE void probabilities_of(V low, V high, size_t r, const ProbabilitiesOut<typename Dot::Element>& out) {
  const D d;
  constexpr int kDegree = Dot::kGroup == 1 ? 5 : 3;  // bf16 does not see more
  if constexpr (kScores == Scores::kMasked) {
    if (out.bias != nullptr) {
      low = hn::Add(low, hn::LoadU(d, out.bias + r * kTileColumns));
      high = hn::Add(high, hn::LoadU(d, out.bias + r * kTileColumns + kLanes));
    }
    const V near = out.mask.offset(out.row + r, out.key), far = out.mask.offset(out.row + r, out.key + kLanes);
    low = exp2_vector<kDegree>(d, out.mask.adjust(low, near));
    high = exp2_vector<kDegree>(d, out.mask.adjust(high, far));
    low = out.mask.apply_mask(low, near, out.key);
    high = out.mask.apply_mask(high, far, out.key + kLanes);
  } else {
    low = exp2_vector<kDegree>(d, low);
    high = exp2_vector<kDegree>(d, high);
    if constexpr (kScores == Scores::kLast) {
      low = out.mask.drop_missing(low, out.key);
      high = out.mask.drop_missing(high, out.key + kLanes);
    }
  }
  float* total = out.totals + r * kLanes;
  hn::Store(hn::Add(hn::Load(d, total), hn::Add(low, high)), d, total);
  store_weights<Dot>(low, high, out.weights + r * out.stride);
}

// Scores of kRows queries and a panel of keys -> weights, and their sums onto the totals.
template <class Dot, size_t kRows, Scores kScores>
HWY_NOINLINE void softmax_tile(const typename Dot::Element* queries, size_t query_stride, size_t steps,
                               const typename Dot::Element* panel, const ProbabilitiesOut<typename Dot::Element>& out) {
  const D d;
  V sum[kRows][2];
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(d);
  add_panel<Dot, kRows>(queries, query_stride, steps, panel, sum);
#pragma GCC unroll 16
  for (size_t r = 0; r < kRows; ++r) probabilities_of<Dot, kScores>(sum[r][0], sum[r][1], r, out);
}

HWY_INLINE void store_scaled(const float* from, size_t n, float factor, float* to) {
  const D d;
  const V f = hn::Set(d, factor);
  size_t c = 0;
  for (; c + kLanes <= n; c += kLanes) hn::StoreU(hn::Mul(hn::LoadU(d, from + c), f), d, to + c);
  for (; c < n; ++c) to[c] = from[c] * factor;
}

// Where rows of tokens begin: at equal distances, or where they are written down. Kept in locals: what a member points
// to would be read again after each store.
struct RowPlaces {
  const float* first;
  size_t stride;
  const float* const* written;  // null: at equal distances
  HWY_INLINE const float* operator[](size_t i) const { return written == nullptr ? first + i * stride : written[i]; }
};

template <class P>
class VectorAttention {
  using Dot = typename P::Step;
  using Element = typename P::Element;

 public:
  HWY_INLINE explicit VectorAttention(const AttentionArgs& args)
      : args_(args), plan_(args.length, args.head_size), mask_(args), bias_(args) {}

  HWY_INLINE void run() {
    find_rows();
    pack_keys();
    pack_values();
    if (bias_.any()) bias_.begin();
    for (size_t head = 0; head < args_.query_heads; ++head) {
      column_ = head * args_.head_size;
      for (size_t row = 0; row < args_.query_rows; row += kTileRows) {
        const size_t rows = std::min(kTileRows, args_.query_rows - row);
        for (size_t r = row; r < row + rows; ++r) prefetch_next_head(r, head + 1 == args_.query_heads);
        take(row, rows);
      }
    }
  }

 protected:
  // The next head stands beside this one and comes next, and its rows are too far apart for the CPU to foresee them.
  HWY_INLINE void prefetch_next_head(size_t row, bool with_keys) const {
    constexpr size_t kLine = 64 / sizeof(float);
    const size_t head = args_.head_size;
    const size_t key = args_.length - args_.query_rows + row;
    const float* const queries = args_.queries + row * args_.query_stride + column_;
    const float* const keys = with_keys ? key_places()[key] : queries;
    const float* const values = with_keys ? value_places()[key] : queries;
    for (size_t c = head; c < 2 * head; c += kLine) {
      __builtin_prefetch(queries + c, 0, 2);
      __builtin_prefetch(keys + c, 0, 2);
      __builtin_prefetch(values + c, 0, 2);
    }
  }

  // Where the keys and the values of each token begin: of several pieces as find_rows() has written them down.
  HWY_INLINE RowPlaces key_places() const {
    return whole_ ? RowPlaces{whole_->keys, whole_->stride, nullptr} : RowPlaces{nullptr, 0, key_rows()};
  }
  HWY_INLINE RowPlaces value_places() const {
    return whole_ ? RowPlaces{whole_->values, whole_->stride, nullptr} : RowPlaces{nullptr, 0, value_rows()};
  }
  HWY_INLINE const float** key_rows() const { return part<const float*>(plan_.places); }
  HWY_INLINE const float** value_rows() const { return key_rows() + plan_.padded_length; }
  HWY_INLINE void find_rows() {
    if (whole_) return;
    const float** keys = key_rows();
    const float** values = value_rows();
    for (const KeyRows& piece : args_.pieces) {
      for (size_t i = 0; i < piece.count; ++i) {
        *keys++ = piece.keys + i * piece.stride;
        *values++ = piece.values + i * piece.stride;
      }
    }
  }

  template <class T>
  HWY_INLINE T* part(size_t offset) const {
    return reinterpret_cast<T*>(args_.scratch + offset);
  }
  HWY_INLINE Element* key_panel(size_t key) const {
    return part<Element>(plan_.keys + key / P::kColumns * (P::kColumns * plan_.key_lanes * 4));
  }
  HWY_INLINE Element* value_panel(size_t column) const {
    return part<Element>(plan_.values) + column * plan_.padded_length;
  }

  // Each row as 32-bit lanes (one value, or a pair in bf16), then transposed. Rows after the last are zero.
  HWY_INLINE void pack_keys() {
    const size_t head = args_.head_size, stride = plan_.key_lanes * P::kGroup;
    const RowPlaces places = key_places();
    for (size_t key = 0; key < plan_.padded_length; key += kBlockColumns) {
      const size_t rows = key < args_.length ? std::min(kBlockColumns, args_.length - key) : 0;
      auto* to = reinterpret_cast<uint32_t*>(key_panel(key)) + key % P::kColumns;
      if constexpr (P::kGroup == 1) {
        const float* const from = rows == kBlockColumns && head % 16 == 0 ? places[key] : nullptr;
        const ptrdiff_t apart = from != nullptr ? places[key + 1] - from : 0;
        if (from != nullptr && (whole_ || are_regular(key_rows() + key, rows, apart))) {
          transpose(reinterpret_cast<const uint32_t*>(from), static_cast<size_t>(apart), to);
          continue;
        }
      }
      auto* staging = part<Element>(plan_.staging);
      if (whole_) {
        Dot::convert_rows(rows > 0 ? places[key] : nullptr, whole_->stride, rows, head, staging, stride, kBlockColumns);
      } else {
        for (size_t i = 0; i < rows; ++i)
          Dot::convert_rows(places[key + i], 0, 1, head, staging + i * stride, stride, 1);
        Dot::convert_rows(nullptr, 0, 0, head, staging + rows * stride, stride, kBlockColumns - rows);
      }
      transpose(reinterpret_cast<const uint32_t*>(staging), plan_.key_lanes, to);
    }
  }

  // Whether rows lie `apart` from one another, forward.
  HWY_INLINE static bool are_regular(const float* const* rows, size_t count, ptrdiff_t apart) {
    bool regular = apart > 0;
    for (size_t i = 1; i < count; ++i) regular &= rows[i] - rows[i - 1] == apart;
    return regular;
  }

  HWY_INLINE void transpose(const uint32_t* from, size_t from_stride, uint32_t* to) const {
    for (size_t lane = 0; lane < plan_.key_lanes; lane += 16)
      transpose_block(from + lane, from_stride, to + lane * P::kColumns, P::kColumns, 16);
  }

  HWY_INLINE void pack_values() {
    const D d;
    const size_t head = args_.head_size;
    const RowPlaces rows = value_places();
    for (size_t column = 0; column < plan_.padded_head; column += kLanes) {
      Element* to = value_panel(column / P::kColumns * P::kColumns) + column % P::kColumns * P::kGroup;
      if (column + kLanes <= head) {
        pack_value_lanes([&](size_t key) -> V { return hn::LoadU(d, rows[key] + column); }, to);
      } else if (column < head) {
        HWY_ALIGN float last[kLanes] = {};
        pack_value_lanes(
            [&](size_t key) -> V {
              std::copy_n(rows[key] + column, head - column, last);
              return hn::Load(d, last);
            },
            to);
      } else {
        pack_value_lanes([&](size_t) -> V { return hn::Zero(d); }, to);
      }
    }
  }

  // kLanes columns of all values, which `load` gives for each key; after the last key are zeros.
  template <class Load>
  HWY_INLINE void pack_value_lanes(const Load& load, Element* to) {
    const D d;
    const size_t length = args_.length, padded = plan_.padded_length;
    const auto store = [&](V first, V second) {
      if constexpr (P::kGroup == 1) {
        hn::Store(first, d, to);
      } else {
        Dot::store_interleaved(first, second, to);
      }
      to += P::kColumns * P::kGroup;
    };
    size_t key = 0;
    for (; key + P::kGroup <= length; key += P::kGroup) store(load(key), load(key + P::kGroup - 1));
    if (key < length) store(load(key), hn::Zero(d));
    for (key = round_up_to(length, P::kGroup); key < padded; key += P::kGroup) store(hn::Zero(d), hn::Zero(d));
  }

  // Context of rows [row, row + rows).
  HWY_INLINE void take(size_t row, size_t rows) {
    auto* totals = part<float>(plan_.totals);
    auto* weights = part<Element>(plan_.weights);
    std::fill_n(totals, rows * kLanes, 0.0f);
    prepare_queries(row, rows);
    const size_t position = args_.first_position + row;
    const size_t first = mask_.first_key(position) / P::kColumns * P::kColumns;
    const size_t end = round_up_to(mask_.end_key(position + rows - 1), P::kColumns);
    if (bias_.any()) bias_.begin_tile(part<Element>(plan_.queries), plan_.query_stride, position, rows, first, end);
    for (size_t key = first; key < end; key += P::kColumns) probabilities_of_keys(position, rows, key);
    float inverse[kTileRows];
    for (size_t r = 0; r < rows; ++r) {
      float sum = hn::GetLane(hn::SumOfLanes(D(), hn::Load(D(), totals + r * kLanes)));
      if (!(sum >= 1e-30f && sum <= 1e30f)) sum = exact_probabilities(position + r, r, first, end);
      inverse[r] = 1 / sum;
    }
    auto* output = part<float>(plan_.output);
    for (size_t column = 0; column < args_.head_size; column += P::kColumns) {
      P::multiply_steps({weights + first, plan_.weight_stride}, rows, end - first,
                        value_panel(column) + first * P::kColumns,
                        {nullptr, nullptr, output + column, plan_.padded_head});
    }
    for (size_t r = 0; r < rows; ++r) {
      store_scaled(output + r * plan_.padded_head, args_.head_size, inverse[r],
                   args_.context + (row + r) * args_.context_stride + column_);
    }
  }

  // Queries carry the scale, so that scores are powers of 2.
  HWY_INLINE void prepare_queries(size_t row, size_t rows) {
    const size_t head = args_.head_size;
    auto* scaled = part<float>(plan_.staging);
    auto* queries = part<Element>(plan_.queries);
    for (size_t r = 0; r < rows; ++r) {
      const float* from = args_.queries + (row + r) * args_.query_stride + column_;
      store_scaled(from, head, args_.scale * kLog2E, scaled);
      Dot::convert_rows(scaled, 0, 1, head, queries + r * plan_.query_stride, plan_.query_stride, 1);
    }
  }

  HWY_INLINE void probabilities_of_keys(size_t position, size_t rows, size_t key) {
    const Scores scores = mask_.scores_of(position, position + rows - 1, key, key + P::kColumns);
    const size_t steps = P::steps_of(args_.head_size);
    const Element* queries = part<Element>(plan_.queries);
    ProbabilitiesOut<Element> out = {
        mask_, position, key, part<Element>(plan_.weights) + key, plan_.weight_stride, part<float>(plan_.totals)};
    if (bias_.any()) out.bias = bias_.fill(position, 0, rows, key);
    in_register_tiles(rows, [&](auto count) {
      constexpr size_t kCount = decltype(count)::value;
      if (scores == Scores::kPlain) {
        softmax_tile<Dot, kCount, Scores::kPlain>(queries, plan_.query_stride, steps, key_panel(key), out);
      } else if (scores == Scores::kLast) {
        softmax_tile<Dot, kCount, Scores::kLast>(queries, plan_.query_stride, steps, key_panel(key), out);
      } else {
        softmax_tile<Dot, kCount, Scores::kMasked>(queries, plan_.query_stride, steps, key_panel(key), out);
      }
      queries += kCount * plan_.query_stride;
      out.row += kCount;
      out.weights += kCount * plan_.weight_stride;
      out.totals += kCount * kLanes;
      if (out.bias != nullptr) out.bias += kCount * P::kColumns;
    });
  }

  // The row at a position, r of its tile, with its largest score taken off; returns the sum of its weights.
  HWY_NOINLINE float exact_probabilities(size_t row, size_t r, size_t first, size_t end) {
    float* scores = part<float>(plan_.row);
    const Element* queries = part<Element>(plan_.queries) + r * plan_.query_stride;
    for (size_t key = first; key < end; key += P::kColumns) {
      P::multiply({queries, plan_.query_stride}, 1, args_.head_size, key_panel(key),
                  {nullptr, nullptr, scores + key, plan_.padded_length});
      if (!bias_.any()) continue;
      const float* bias = bias_.fill(row, r, 1, key);
      for (size_t c = 0; c < P::kColumns; ++c) scores[key + c] += bias[c];
    }
    Element* weights = part<Element>(plan_.weights) + r * plan_.weight_stride;
    return row_probabilities(scores, row, first, end, [&](size_t key, Element weight) { weights[key] = weight; });
  }

  // Scores of a row and keys [first, end) -> weights, which `store` takes, with the largest score taken off; returns
  // their sum.
  template <class Store>
  HWY_INLINE float row_probabilities(float* scores, size_t row, size_t first, size_t end, const Store& store) const {
    const auto attends = [&](size_t key) { return key >= mask_.first_key(row) && key < mask_.end_key(row); };
    float largest = -INFINITY, sum = 0;
    for (size_t key = first; key < end; ++key) {
      const auto distance = static_cast<float>(key > row ? key - row : row - key);
      const float cap = args_.softcap * kLog2E;
      if (cap != 0) scores[key] = cap * std::tanh(scores[key] / cap);
      scores[key] -= args_.slope * kLog2E * distance;
      if (attends(key)) largest = std::max(largest, scores[key]);
    }
    for (size_t key = first; key < end; ++key) {
      const float weight = attends(key) ? std::exp2(scores[key] - largest) : 0;
      store(key, Dot::convert(weight));
      sum += weight;
    }
    return sum;
  }

  const AttentionArgs& args_;
  const AttentionPlan<P> plan_;
  const AttentionMask mask_;
  const KeyRows* const whole_ = args_.pieces.size() == 1 ? &args_.pieces[0] : nullptr;  // null: several pieces
  PositionBias<P> bias_;
  size_t column_ = 0;  // of the head of queries that is computed, after the first
};

template <class P>
struct RowsAttention {
  static size_t scratch_bytes(size_t length, size_t head_size) { return AttentionPlan<P>(length, head_size).total; }
  HWY_INLINE static void attend(const AttentionArgs& args) { VectorAttention<P>(args).run(); }
};

template <class P>
void attention(const AttentionArgs& args) {
  RowsAttention<P>::attend(args);
}

template <class P>
size_t attention_scratch(size_t length, size_t head_size) {
  return RowsAttention<P>::scratch_bytes(length, head_size);
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
