// Linear layers on tiles. A block of 32 x 32 results is in four tiles; 16 input tiles of a panel of weights (32 KiB)
// stay in the L1 cache while the rows stream past them. What becomes of the sums (bias, GELU, the layout that attention
// wants) is computed on the vector units between the tile products of the next block.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace rerank::cpu::HWY_NAMESPACE {
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
  const TileProduct& job;
  std::byte* out;  // of the panel
  Row bias[2], scales[2], sums[2];

  HWY_INLINE PanelOut(const TileProduct& j, size_t panel) : job(j), out(j.out + panel * j.out_panel_stride) {
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

// Row r (of 32) and half of a block of sums, as fp32 without bias.
template <class Inputs>
HWY_INLINE Row raw_value(const PanelOut& p, const float* sums, size_t block, size_t r, size_t half) {
  const Row sum = load(sums + ((r / 16 * 2 + half) * 16 + r % 16) * 16);
  if constexpr (!Inputs::kInt8) return sum;
  const RowRange range = p.job.a_ranges[block * 32 + r];
  return multiply_add(from_int32(sum), set(range.unit) * p.scales[half], set(range.lowest) * p.sums[half]);
}

template <class Inputs>
HWY_INLINE Row value(const PanelOut& p, const float* sums, size_t block, size_t r, size_t half) {
  return raw_value<Inputs>(p, sums, block, r, half) + p.bias[half];
}

struct QueriesOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    const Row factor = set(p.job.factor);
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      std::byte* to = p.out + (2 * block + r / 16) * p.job.out_row_stride + r % 16 * kTileRow;
      store_bf16(value<Inputs>(p, sums, block, r, 0) * factor, value<Inputs>(p, sums, block, r, 1) * factor, to);
    }
  }
};

template <Activation kActivation>
struct InnerOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      std::byte* to = p.out + (2 * block + r / 16) * p.job.out_row_stride + r % 16 * kTileRow;
      store_bf16(activate<kActivation>(value<Inputs>(p, sums, block, r, 0)),
                 activate<kActivation>(value<Inputs>(p, sums, block, r, 1)), to);
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
                   reinterpret_cast<uint32_t*>(p.out + (2 * block + u / 8) * p.job.out_row_stride));
  }
};

struct ValuesOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t half = 0; half < 2; ++half) {
      std::byte* to = p.out + half * (p.job.out_panel_stride / 2) + (block * 16 + u) * kTileRow;
      store_pairs(value<Inputs>(p, sums, block, 2 * u, half), value<Inputs>(p, sums, block, 2 * u + 1, half), to);
    }
  }
};

struct AddOut {
  template <class Inputs>
  HWY_INLINE static void unit(const PanelOut& p, const float* sums, size_t block, size_t u, std::byte*) {
    for (size_t r = 2 * u; r < 2 * u + 2; ++r) {
      for (size_t half = 0; half < 2; ++half) {
        auto* to = reinterpret_cast<float*>(p.out + (2 * block + r / 16) * p.job.out_row_stride + half * kTileBytes) +
                   r % 16 * 16;
        store(load(to) + raw_value<Inputs>(p, sums, block, r, half), to);
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

// Four tiles of sums, brought into the L1 cache a little at a time: they would be waited for where a block begins.
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

// Tiles 0..3 += 2 row tiles x 2 column tiles over `steps` input tiles; between() behind each.
template <class Inputs, class Between>
HWY_INLINE void k_loop(const std::byte* upper, size_t a_stride, const std::byte* b, size_t steps, Between& between) {
  using Tiles = typename Inputs::Tiles;
  const std::byte* lower = upper + a_stride;
  for (size_t k = 0; k < steps; ++k, upper += kTileBytes, lower += kTileBytes, b += kStepBytes) {
    Tiles::template load<6>(b, kTileRow);
    Tiles::template load_stream<4>(upper, kTileRow);
    Inputs::template multiply<0, 4, 6>();
    Tiles::template load<7>(b + kTileBytes, kTileRow);
    Inputs::template multiply<1, 4, 7>();
    Tiles::template load_stream<5>(lower, kTileRow);
    Inputs::template multiply<2, 5, 6>();
    Inputs::template multiply<3, 5, 7>();
    between();
  }
}

template <class Tiles>
HWY_INLINE void zero_sums() {
  Tiles::template zero<0>();
  Tiles::template zero<1>();
  Tiles::template zero<2>();
  Tiles::template zero<3>();
}
// Four tiles from or to two rows of tiles `stride` bytes apart.
template <class Tiles>
HWY_INLINE void load_sums(const std::byte* from, size_t stride) {
  Tiles::template load<0>(from, kTileRow);
  Tiles::template load<1>(from + kTileBytes, kTileRow);
  Tiles::template load<2>(from + stride, kTileRow);
  Tiles::template load<3>(from + stride + kTileBytes, kTileRow);
}
template <class Tiles>
HWY_INLINE void store_sums(std::byte* to, size_t stride) {
  Tiles::template store<0>(to, kTileRow);
  Tiles::template store<1>(to + kTileBytes, kTileRow);
  Tiles::template store<2>(to + stride, kTileRow);
  Tiles::template store<3>(to + stride + kTileBytes, kTileRow);
}

// The epilogue of the block before, and what comes next into the cache, in the gaps of a k_loop.
template <class Inputs, class Out>
struct Between {
  const PanelOut* panel;
  std::byte* staging;
  Prefetch weights;
  size_t weight_lines, sum_lines;  // a step
  SumsPrefetch sums_ahead{};
  size_t steps = 1, due = 0, unit = kUnits, block = 0;
  const float* sums = nullptr;

  // Its units are spread evenly over `over_steps` gaps, so that neither unit waits for the other.
  HWY_INLINE void start(size_t of_block, const float* its_sums, size_t over_steps) {
    block = of_block;
    sums = its_sums;
    unit = due = 0;
    steps = over_steps;
  }
  HWY_INLINE void operator()() {
    sums_ahead.lines(sum_lines);
    weights.lines(weight_lines);
    for (due += kUnits; due >= steps; due -= steps) {
      if (unit < kUnits) advance();
    }
  }
  HWY_INLINE void advance() { Out::template unit<Inputs>(*panel, sums, block, unit++, staging); }
  HWY_INLINE void finish() {
    while (unit < kUnits) advance();
  }
};

inline size_t prefetch_lines(size_t steps, size_t blocks) {  // a step, so that the next chunk is there in time
  const size_t gaps = steps * blocks;
  return (steps * kStepBytes / 64 + gaps - 1) / gaps;
}

// One panel, with an epilogue. Sums of several chunks of inputs wait in scratch: [block][kBlockFloats].
template <class Inputs, class Out>
void panel_with_epilogue(const TileProduct& job, size_t panel) {
  using Tiles = typename Inputs::Tiles;
  const PanelOut out(job, panel);
  const std::byte* b = job.weights->data + (panel * job.weights->steps + job.first_step) * kStepBytes;
  const size_t blocks = job.row_tiles / 2;
  std::byte* const sums = job.scratch + kTileBytes;
  const bool single = job.steps <= kChunkSteps;
  Between<Inputs, Out> between{&out, job.scratch, {nullptr, nullptr}, 0, 0};
  for (size_t first = 0; first < job.steps; first += kChunkSteps) {
    const size_t steps = std::min(kChunkSteps, job.steps - first);
    const bool last = first + steps == job.steps;
    const std::byte* chunk = b + first * kStepBytes;
    between.weights = {chunk + steps * kStepBytes, chunk + 2 * steps * kStepBytes};
    between.weight_lines = prefetch_lines(steps, blocks);
    between.sum_lines = (2 * SumsPrefetch::kLines + steps - 1) / steps;
    for (size_t block = 0; block < blocks; ++block) {
      std::byte* place = sums + (single ? block % 2 : block) * kBlockFloats * 4;
      if (!single) between.sums_ahead = {sums + (block + 1) % blocks * kBlockFloats * 4, 2 * kTileBytes, 0};
      if (first == 0) {
        zero_sums<Tiles>();
      } else {
        load_sums<Tiles>(place, 2 * kTileBytes);
      }
      k_loop<Inputs>(job.a + 2 * block * job.a_stride + first * kTileBytes, job.a_stride, chunk, steps, between);
      store_sums<Tiles>(place, 2 * kTileBytes);
      if (!last) continue;
      between.finish();
      between.start(block, reinterpret_cast<const float*>(place), steps);
    }
  }
  between.finish();
}

struct NoEpilogue {
  Prefetch weights;
  size_t weight_lines;  // a step
  size_t sum_lines;
  SumsPrefetch sums{};
  HWY_INLINE void operator()() {
    sums.lines(sum_lines);
    weights.lines(weight_lines);
  }
};

// One panel straight onto fp32 C: the tiles of sums begin there and end there.
template <class Inputs>
void panel_onto_sums(const TileProduct& job, size_t panel) {
  using Tiles = typename Inputs::Tiles;
  const std::byte* b = job.weights->data + (panel * job.weights->steps + job.first_step) * kStepBytes;
  const size_t blocks = job.row_tiles / 2;
  std::byte* const column = job.out + panel * job.out_panel_stride;
  for (size_t first = 0; first < job.steps; first += kChunkSteps) {
    const size_t steps = std::min(kChunkSteps, job.steps - first);
    const bool last = first + steps == job.steps;
    const std::byte* chunk = b + first * kStepBytes;
    // Next in memory, or where a slab of inputs ends the next panel's.
    const std::byte* next = last ? b + job.weights->steps * kStepBytes : chunk + steps * kStepBytes;
    NoEpilogue between{{next, next + steps * kStepBytes},
                       prefetch_lines(steps, blocks),
                       (2 * SumsPrefetch::kLines + steps - 1) / steps};
    for (size_t block = 0; block < blocks; ++block) {
      std::byte* place = column + 2 * block * job.out_row_stride;
      const bool more = block + 1 < blocks;
      std::byte* following = more ? place + 2 * job.out_row_stride : column + (last ? job.out_panel_stride : 0);
      if (more || !last || panel + 1 < job.last_panel) between.sums = {following, job.out_row_stride, 0};
      load_sums<Tiles>(place, job.out_row_stride);
      k_loop<Inputs>(job.a + 2 * block * job.a_stride + first * kTileBytes, job.a_stride, chunk, steps, between);
      store_sums<Tiles>(place, job.out_row_stride);
    }
  }
}

template <class Inputs, class Out>
void all_panels(const TileProduct& job) {
  for (size_t p = job.first_panel; p < job.last_panel; ++p) panel_with_epilogue<Inputs, Out>(job, p);
}

template <class Inputs>
void inner_panels(const TileProduct& job) {
  switch (job.activation) {
    case Activation::kGelu:
      return all_panels<Inputs, InnerOut<Activation::kGelu>>(job);
    case Activation::kGeluTanh:
      return all_panels<Inputs, InnerOut<Activation::kGeluTanh>>(job);
    case Activation::kSilu:
      return all_panels<Inputs, InnerOut<Activation::kSilu>>(job);
    case Activation::kRelu:
    case Activation::kTanh:  // of heads only, which are computed in fp32
      return all_panels<Inputs, InnerOut<Activation::kRelu>>(job);
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
    case TileResult::kAdd:
      if constexpr (Inputs::kInt8) {
        all_panels<Inputs, AddOut>(job);
      } else {
        for (size_t p = job.first_panel; p < job.last_panel; ++p) panel_onto_sums<Inputs>(job, p);
      }
      break;
  }
  Inputs::Tiles::release();
}

}  // namespace rerank::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
