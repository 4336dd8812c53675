// Linear layers on tiles. A block of 32 x 32 results is in four tiles; 16 input tiles of a panel of weights (32 KiB)
// stay in the L1 cache while the rows stream past them. What becomes of the sums (bias, GELU, the layout that attention
// wants) is computed on the vector units between the tile products of the next block.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kBlockFloats = 4 * 256;  // of sums: [2 row tiles][2 column tiles][16][16]
constexpr size_t kUnits = 16;             // an epilogue is 16 units of two rows

template <class T, bool kEightBit>
struct TileInputs {
  using Tiles = T;
  static constexpr bool kInt8 = kEightBit;
  template <int kC, int kA, int kB>
  HWY_INLINE static void multiply() {
    if constexpr (kInt8) {
      Tiles::template multiply_u8s8<kC, kA, kB>();
    } else {
      Tiles::template multiply_bf16<kC, kA, kB>();
    }
  }
};

// What an epilogue needs to know of its panel.
struct PanelOut {
  const TileProduct* job = nullptr;
  std::byte* out = nullptr;         // of the panel
  Row bias[2], scales[2], sums[2];  // of int8

  HWY_INLINE PanelOut() = default;
  HWY_INLINE PanelOut(const TileProduct& j, size_t panel)
      : job(&j), out(j.out + (panel - j.first_panel) * j.out_panel_stride) {
    const TilePanels& w = *j.weights;
    const size_t chunks = (w.steps + kChunkSteps - 1) / kChunkSteps;
    for (size_t half = 0; half < 2; ++half) {
      const size_t column = panel * kPanelColumns + half * 16;
      bias[half] = w.bias ? load(w.bias + column) : set(0);
      scales[half] = w.scales ? load(w.scales + column) : set(1);
      sums[half] = set(0);
      for (size_t step = 0; w.sums != nullptr && step < j.steps; step += kChunkSteps) {
        const size_t chunk = (j.first_step + step) / kChunkSteps;
        sums[half] = sums[half] + load(w.sums + (panel * chunks + chunk) * kPanelColumns + half * 16);
      }
    }
  }
};

// Row r (of 32) and half of a block of sums, as fp32. Sums of bf16 have begun with the bias; int8 takes `bias` now.
template <class Inputs>
HWY_INLINE Row value(const PanelOut& p, const float* sums, size_t block, size_t r, size_t half, const Row& bias) {
  const Row sum = load(sums + ((r / 16 * 2 + half) * 16 + r % 16) * 16);
  if constexpr (!Inputs::kInt8) return sum;
  const RowRange range = p.job->a_ranges[block * 32 + r];
  return multiply_add(from_int32(sum), set(range.unit) * p.scales[half],
                      multiply_add(set(range.lowest), p.sums[half], bias));
}

template <class Inputs>
HWY_INLINE Row value(const PanelOut& p, const float* sums, size_t block, size_t r, size_t half) {
  return value<Inputs>(p, sums, block, r, half, p.bias[half]);
}

struct QueriesOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    const Row factor = set(p.job->factor);
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      std::byte* to = p.out + (2 * block + r / 16) * p.job->out_row_stride + r % 16 * kTileRow;
      store_bf16(value<Inputs>(p, sums, block, r, 0) * factor, value<Inputs>(p, sums, block, r, 1) * factor, to);
    }
  }
};

template <model::Activation kActivation>
struct InnerOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      std::byte* to = p.out + (2 * block + r / 16) * p.job->out_row_stride + r % 16 * kTileRow;
      store_bf16(activate<kActivation>(value<Inputs>(p, sums, block, r, 0)),
                 activate<kActivation>(value<Inputs>(p, sums, block, r, 1)), to);
    }
  }
};

struct GatedOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      std::byte* to = p.out + (2 * block + r / 16) * p.job->out_row_stride + r % 16 * kTileRow;
      store_bf16(value<Inputs>(p, sums, block, r, 0) * load_bf16(to),
                 value<Inputs>(p, sums, block, r, 1) * load_bf16(to + kTileRow / 2), to);
    }
  }
};

struct KeysOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte* staging) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      store_bf16(value<Inputs>(p, sums, block, r, 0), value<Inputs>(p, sums, block, r, 1), staging + r % 16 * kTileRow);
    }
    if (u % 8 != 7) return;
    transpose_tile(reinterpret_cast<const uint32_t*>(staging),
                   reinterpret_cast<uint32_t*>(p.out + (2 * block + u / 8) * p.job->out_row_stride));
  }
};

struct ValuesOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t half = 0; half < 2; ++half) {
      std::byte* to = p.out + half * (p.job->out_panel_stride / 2) + (block * 16 + u) * kTileRow;
      store_pairs(value<Inputs>(p, sums, block, 2 * u, half), value<Inputs>(p, sums, block, 2 * u + 1, half), to);
    }
  }
};

struct AddOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      for (size_t half = 0; half < 2; ++half) {
        auto* to = reinterpret_cast<float*>(p.out + (2 * block + r / 16) * p.job->out_row_stride + half * kTileBytes) +
                   r % 16 * 16;
        store(value<Inputs>(p, sums, block, r, half, load(to)), to);
      }
    }
  }
};

// Bytes to come, brought into the L2 cache a little at a time.
struct Prefetch {
  const std::byte* next;
  const std::byte* end;
  HWY_INLINE void lines(size_t count) {
    for (size_t i = 0; i < count && next < end; ++i, next += 64) __builtin_prefetch(next, 0, 2);
  }
};

// Four tiles of sums, brought into the L1 cache a little at a time.
struct SumsPrefetch {
  static constexpr size_t kLines = 2 * kTileBytes / 64;  // of two tiles side by side
  std::byte* upper = nullptr;
  size_t stride = 0;  // to the lower two
  size_t line = 2 * kLines;
  HWY_INLINE void lines(size_t count) {
    for (size_t i = 0; i < count && line < 2 * kLines; ++i, ++line) {
      __builtin_prefetch(upper + line / kLines * stride + line % kLines * 64, 1, 3);
    }
  }
};

// Where the four tiles of a block's sums are: two rows of two tiles, `stride` bytes apart.
struct Sums {
  std::byte* at = nullptr;  // null: nowhere
  size_t stride = 0;
  template <int kTile>
  HWY_INLINE std::byte* tile() const {
    return at + kTile / 2 * stride + kTile % 2 * kTileBytes;
  }
};

// What a block's sums begin with: those of the inputs before, or a bias in each row, or zeros.
struct Begin {
  Sums sums;
  const float* bias = nullptr;  // of the panel's columns
};

// Tile kTile goes from the sums of the block before to those of the next.
template <class Tiles, int kTile>
HWY_INLINE void change_sums(const Sums& to, const Begin& from) {
  if (to.at != nullptr) Tiles::template store<kTile>(to.template tile<kTile>(), kTileRow);
  if (from.sums.at != nullptr) {
    Tiles::template load_stream<kTile>(from.sums.template tile<kTile>(), kTileRow);
  } else if (from.bias != nullptr) {
    Tiles::template load<kTile>(from.bias + kTile % 2 * 16, 0);  // one row sixteen times
  } else {
    Tiles::template zero<kTile>();
  }
}

template <class Tiles>
HWY_INLINE void store_sums(const Sums& to) {
  Tiles::template store<0>(to.tile<0>(), kTileRow);
  Tiles::template store<1>(to.tile<1>(), kTileRow);
  Tiles::template store<2>(to.tile<2>(), kTileRow);
  Tiles::template store<3>(to.tile<3>(), kTileRow);
}

// What a block multiplies: 2 row tiles x 2 column tiles over `steps` input tiles.
struct Factors {
  const std::byte* a;
  size_t a_stride;  // to the lower row tile
  const std::byte* b;
  size_t steps;
};

// One step of a block: tiles 0..3 += A B. In its first one each tile changes from the block before to this one just
// before its product, so that the unit has work while sums go to memory and come from there.
template <class Inputs, bool kFirst>
HWY_INLINE void tile_step(const std::byte* upper, size_t a_stride, const std::byte* b, const Sums& to,
                          const Begin& from) {
  using Tiles = typename Inputs::Tiles;
  Tiles::template load<6>(b, kTileRow);
  Tiles::template load_stream<4>(upper, kTileRow);
  if constexpr (kFirst) change_sums<Tiles, 0>(to, from);
  Inputs::template multiply<0, 4, 6>();
  Tiles::template load<7>(b + kTileBytes, kTileRow);
  if constexpr (kFirst) change_sums<Tiles, 1>(to, from);
  Inputs::template multiply<1, 4, 7>();
  Tiles::template load_stream<5>(upper + a_stride, kTileRow);
  if constexpr (kFirst) change_sums<Tiles, 2>(to, from);
  Inputs::template multiply<2, 5, 6>();
  if constexpr (kFirst) change_sums<Tiles, 3>(to, from);
  Inputs::template multiply<3, 5, 7>();
}

// Sums stay where they are: of bf16 onto C, whose tiles begin there and end there.
struct InPlace {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut&, const float*, size_t, size_t, std::byte*) {}
};

// Panels [first_panel, last_panel) of a product. Blocks follow one another without a pause, from panel to panel too: a
// block's sums are stored in the first step of the next, and its epilogue is computed in the gaps after the others.
template <class Inputs, class Out>
class PanelProduct {
 public:
  HWY_INLINE explicit PanelProduct(const TileProduct& job)
      : job_(job), blocks_(job.row_tiles / 2), single_(job.steps <= kChunkSteps) {}

  HWY_INLINE void run() {
    for (size_t panel = job_.first_panel; panel < job_.last_panel; ++panel) {
      for (size_t first = 0; first < job_.steps; first += kChunkSteps) chunk(panel, first);
    }
    if (pending_.at == nullptr) return;
    store_sums<Tiles>(pending_);
    start_epilogue(1);
    finish_epilogue();
  }

 private:
  using Tiles = typename Inputs::Tiles;
  static constexpr bool kInPlace = std::is_same_v<Out, InPlace>;

  HWY_INLINE void chunk(size_t panel, size_t first) {
    const size_t steps = std::min(kChunkSteps, job_.steps - first);
    const bool last = first + steps == job_.steps;
    const std::byte* whole = job_.weights->data + (panel * job_.weights->steps + job_.first_step) * kStepBytes;
    const std::byte* b = whole + first * kStepBytes;
    // Next in memory, or where a slab of inputs ends the next panel's.
    const std::byte* next = last ? whole + job_.weights->steps * kStepBytes : b + steps * kStepBytes;
    const float* bias = job_.weights->bias;
    if (Inputs::kInt8) bias = nullptr;
    if (bias != nullptr) bias += panel * kPanelColumns;
    weights_ahead_ = {next, next + steps * kStepBytes};
    weight_lines_ = (steps * kStepBytes / 64 + steps * blocks_ - 1) / (steps * blocks_);
    sum_lines_ = (2 * SumsPrefetch::kLines + steps - 1) / steps;
    for (size_t block = 0; block < blocks_; ++block) {
      const Sums place = place_of(panel, block);
      prefetch_sums(panel, block, last);
      multiply({job_.a + 2 * block * job_.a_stride + first * kTileBytes, job_.a_stride, b, steps},
               kInPlace || first != 0 ? Begin{place} : Begin{{}, bias});
      pending_ = place;
      pending_panel_ = panel;
      pending_block_ = block;
      epilogue_due_ = last && !kInPlace;
      turn_ = 1 - turn_;
    }
  }

  // Sums of several chunks of inputs wait in scratch: [block][kBlockFloats].
  HWY_INLINE Sums place_of(size_t panel, size_t block) const {
    if (kInPlace) {
      return {job_.out + (panel - job_.first_panel) * job_.out_panel_stride + 2 * block * job_.out_row_stride,
              job_.out_row_stride};
    }
    return {job_.scratch + kTileBytes + (single_ ? turn_ : block) * kBlockFloats * 4, 2 * kTileBytes};
  }

  // Those on C that the next block will begin with: they would be waited for. Sums in scratch are near enough.
  HWY_INLINE void prefetch_sums(size_t panel, size_t block, bool last) {
    if (!kInPlace) return;
    const bool more = block + 1 < blocks_;
    if (!more && last && panel + 1 == job_.last_panel) return;
    const Sums following = place_of(panel + (!more && last ? 1 : 0), more ? block + 1 : 0);
    sums_ahead_ = {following.at, following.stride, 0};
  }

  HWY_INLINE void multiply(const Factors& f, const Begin& from) {
    tile_step<Inputs, true>(f.a, f.a_stride, f.b, pending_, from);
    gap();
    if (f.steps == 1) start_epilogue(f.steps);
    for (size_t k = 1; k < f.steps; ++k) {
      tile_step<Inputs, false>(f.a + k * kTileBytes, f.a_stride, f.b + k * kStepBytes, {}, {});
      if (k == 1) start_epilogue(f.steps);  // not at once: its sums are on their way
      gap();
    }
    if (!single_) finish_epilogue();
  }

  HWY_INLINE void gap() {
    sums_ahead_.lines(sum_lines_);
    weights_ahead_.lines(weight_lines_);
    // The units are spread evenly over the gaps, so that neither unit waits for the other.
    for (due_ += kUnits; due_ >= gaps_; due_ -= gaps_) {
      if (unit_ < kUnits) advance();
    }
  }

  HWY_INLINE void start_epilogue(size_t gaps) {
    finish_epilogue();
    if (!epilogue_due_) return;
    if (of_panel_ != pending_panel_) out_ = PanelOut(job_, of_panel_ = pending_panel_);
    block_ = pending_block_;
    sums_ = reinterpret_cast<const float*>(pending_.at);
    unit_ = due_ = 0;
    gaps_ = gaps;
  }
  HWY_INLINE void advance() { Out::template unit<Inputs>(out_, sums_, block_, unit_++, job_.scratch); }
  HWY_INLINE void finish_epilogue() {
    while (unit_ < kUnits) advance();
  }

  const TileProduct& job_;
  const size_t blocks_;
  const bool single_;  // all inputs in one chunk
  size_t turn_ = 0;    // of two places: an epilogue reads its sums while the next are stored
  // The block before the one that is multiplied.
  Sums pending_;
  size_t pending_panel_ = 0, pending_block_ = 0;
  bool epilogue_due_ = false;
  // The epilogue that is computed.
  PanelOut out_;
  size_t of_panel_ = SIZE_MAX, block_ = 0, unit_ = kUnits, due_ = 0, gaps_ = 1;
  const float* sums_ = nullptr;

  Prefetch weights_ahead_{};
  SumsPrefetch sums_ahead_{};
  size_t weight_lines_ = 0, sum_lines_ = 0;  // a step
};

template <class Inputs, class Out>
void all_panels(const TileProduct& job) {
  PanelProduct<Inputs, Out>(job).run();
}

template <class Inputs>
void inner_panels(const TileProduct& job) {
  switch (job.activation) {
    case model::Activation::kGelu:
      return all_panels<Inputs, InnerOut<model::Activation::kGelu>>(job);
    case model::Activation::kGeluTanh:
      return all_panels<Inputs, InnerOut<model::Activation::kGeluTanh>>(job);
    case model::Activation::kSilu:
      return all_panels<Inputs, InnerOut<model::Activation::kSilu>>(job);
    case model::Activation::kRelu:
    case model::Activation::kTanh:  // of heads only, which are computed in fp32
      return all_panels<Inputs, InnerOut<model::Activation::kRelu>>(job);
  }
}

template <class Inputs>
void tile_product(const TileProduct& job) {
  Inputs::Tiles::configure();
  switch (job.result) {
    case TileResult::kQueries:
      all_panels<Inputs, QueriesOut>(job);
      break;
    case TileResult::kKeys:
      all_panels<Inputs, KeysOut>(job);
      break;
    case TileResult::kValues:
      all_panels<Inputs, ValuesOut>(job);
      break;
    case TileResult::kInner:
      inner_panels<Inputs>(job);
      break;
    case TileResult::kGated:
      all_panels<Inputs, GatedOut>(job);
      break;
    case TileResult::kAdd:
      all_panels<Inputs, std::conditional_t<Inputs::kInt8, AddOut, InPlace>>(job);
      break;
  }
  Inputs::Tiles::release();
}

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
