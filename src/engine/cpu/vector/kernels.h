// The kernels of one tier, as a table of functions: picked once at start, named in logs. Everything numeric the CPU
// forward does goes through here. kernels.cc compiles the tables with Highway, once per instruction set.
//
// Activations are row-major fp32; a stride is the distance between rows in elements. Rows may be read and written up to
// the next multiple of `tile_columns` after their last column: buffers are padded so (PaddedMatrix in buffers.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/cpu/amx/tiles.h"
#include "rerank/choice.h"

namespace rerank::engine::cpu {

// A weight matrix W [out, in] as the micro-kernel reads it: panels of `tile_columns` output columns; within a panel,
// for each group of inputs (1 fp32, 2 bf16), the group's values of each column side by side. Columns after `out`, and
// inputs after `in` up to a whole number of steps, are zero.
struct PackedMatrix {
  const std::byte* panels = nullptr;  // panel p starts at panels + p * panel_bytes(in), 64-byte aligned
  const float* bias = nullptr;        // [out], padded with zeros to whole panels; null: none
  size_t out = 0;
  size_t in = 0;
};

using ActivationFunction = void(float* x, size_t n);  // of n values side by side

// C[rows, panels * tile_columns] = activation(A[rows, in] W^T + bias (+ residual)) (x factor). A residual may be C
// itself.
struct MatMulArgs {
  const float* a = nullptr;
  size_t a_stride = 0;
  size_t rows = 0;
  const PackedMatrix* weights = nullptr;
  size_t first_panel = 0, last_panel = 0;  // [first, last)
  const float* residual = nullptr;         // read at C's position, with C's stride
  float* c = nullptr;                      // column 0 of panel 0
  size_t c_stride = 0;
  ActivationFunction* activation = nullptr;  // of C; null: none
  const float* factor = nullptr;             // read at C's position, with C's stride; null: none
  std::byte* scratch = nullptr;              // matmul_scratch(in) bytes, 64-byte aligned
};

// Of disentangled attention, one head: projections of relative positions, a column for each distance, packed into
// panels of `tile_columns` columns: `half` panels below distance 0 and as many from it on. The outermost ones stand for
// all that is farther away.
struct PositionPanels {
  const std::byte* keys = nullptr;     // by the key's position minus the query's; null: none
  const std::byte* queries = nullptr;  // by the query's position minus the key's, times scale and log2(e); null: none
  size_t half = 0;
};

// Keys and values of tokens that follow one another, of one head.
struct KeyRows {
  const float* keys = nullptr;
  const float* values = nullptr;
  size_t stride = 0;
  size_t count = 0;
};

inline constexpr size_t kAllPositions = size_t{1} << 30;

// Attention of `query_rows` rows of one sequence, over all keys, for the heads of queries that share a head of keys.
struct AttentionArgs {
  const float* queries = nullptr;  // first column of the first head; the others stand after it
  size_t query_stride = 0;
  size_t query_rows = 0;
  size_t query_heads = 1;
  size_t first_position = 0;        // of the first query
  std::span<const KeyRows> pieces;  // the sequence's keys, from its first token on; where they lie changes no result
  size_t length = 0;                // of all pieces
  size_t head_size = 0;
  float scale = 1;  // 1 / sqrt(head_size)
  // Seen are keys at most so many positions before and after.
  size_t before = kAllPositions, after = kAllPositions;
  float slope = 0;           // ALiBi: what each position away takes off a score; of one head
  float softcap = 0;         // scores are cap x tanh(score / cap); 0: not
  float* context = nullptr;  // like queries
  size_t context_stride = 0;
  // Where one of these two is there, queries are one head and begin at position 0, and the keys are one piece.
  const PositionPanels* positions = nullptr;  // null: none
  // Added to scores, times log2(e), by the key's position minus the query's: distance 0 is here, the least
  // -(length - 1); the largest, length - 1, has a panel's columns after it. null: none.
  const float* distance_bias = nullptr;
  std::byte* scratch = nullptr;           // attention_scratch(length, head_size) bytes, 64-byte aligned
  std::byte* position_scratch = nullptr;  // position_scratch(length, head_size) bytes, where one of the two is there
};

// Of what pack() below writes.
inline constexpr int kPanelLayout = 1;

inline constexpr size_t kUnitInputs = 32;

// W [out, in], rows `stride` apart.
struct WeightRows {
  const float* values = nullptr;
  size_t out = 0, in = 0, stride = 0;
  // [out, in / kUnitInputs]: of each group of inputs what its values are whole numbers -8..7 of; null: not known.
  const float* units = nullptr;
};

// A matrix product in one precision.
struct ProductKernels {
  size_t tile_columns;              // columns of a panel
  size_t (*block_rows)(size_t in);  // rows that matmul() takes through the panels together
  size_t (*panel_bytes)(size_t in);
  // Rows -> whole panels. Files of --weight-cache hold them: whoever changes what lies
  // where raises kPanelLayout.
  void (*pack)(const WeightRows& weight, std::byte* panels);
  size_t (*matmul_scratch)(size_t in);
  void (*matmul)(const MatMulArgs& args);
};

// Instruction sets that a tier's code uses, one bit each.
enum InstructionSet : uint32_t {
  kAvx2 = 1u << 0,  // with FMA and F16C
  kAvx512 = 1u << 1,
  kAvx512Bf16 = 1u << 2,
  kAvx512Vnni = 1u << 3,
  kAmx = 1u << 4,  // tiles of bf16 and int8, granted by the operating system and tried once
};

// What a tier is there for.
enum class TierUse {
  kSpeed,
  kSpeedOnAmd,  // twice as fast as fp32 on AMD (Zen 4 and later), half as fast on Intel's cores that have it
  kTests        // other instructions with the same results
};

// What a tier asks of the machine, and what it is there for.
struct TierTraits {
  uint32_t needs = 0;  // InstructionSet bits
  TierUse use = TierUse::kSpeed;
};

constexpr TierTraits traits_of(KernelTier tier) {
  switch (tier) {
    case KernelTier::kAuto:
    case KernelTier::kPortable:
      break;
    case KernelTier::kAvx2:
      return {kAvx2};
    case KernelTier::kAvx512:
      return {kAvx512};
    case KernelTier::kAvx512Bf16:
      return {kAvx512 | kAvx512Bf16, TierUse::kSpeedOnAmd};
    case KernelTier::kAvx512Vnni:
      return {kAvx512 | kAvx512Vnni};
    case KernelTier::kAvx512VnniBf16:
      return {kAvx512 | kAvx512Vnni | kAvx512Bf16, TierUse::kSpeedOnAmd};
    case KernelTier::kAmx:
    case KernelTier::kAmxRows:
      return {kAvx512 | kAvx512Bf16 | kAmx};
    case KernelTier::kEmulatedAmxRows:
      return {kAvx512, TierUse::kTests};
    case KernelTier::kEmulatedBf16:
    case KernelTier::kEmulatedAmx:
    case KernelTier::kEmulatedAmxRowsNarrow:
      return {kAvx2, TierUse::kTests};
  }
  return {};
}

// A tier's kernels for one precision.
struct KernelTable {
  KernelTier tier;      // never kAuto
  Precision precision;  // of the inputs of the layers' matrix products; sums are fp32 (int8: whole numbers)

  ProductKernels linear;  // of the layers
  ProductKernels exact;   // fp32: of the head, and of tables narrower than the encoder; the same tile_columns
  size_t (*attention_scratch)(size_t length, size_t head_size);
  void (*attention)(const AttentionArgs& args);
  size_t (*position_scratch)(size_t length, size_t head_size);
  // Of PositionPanels: as ProductKernels has them, in the type that attention() multiplies.
  size_t (*position_panel_bytes)(size_t head_size);
  void (*pack_positions)(const WeightRows& rows, std::byte* panels);
  // x = activation(x), n values. gelu of fp32 tiers: |error| <= 9e-7 for |x| <= 6, relative 1e-6 beyond; of the others
  // <= 1e-4. exp within 1.2e-7 relative.
  void (*gelu)(float* x, size_t n);
  void (*gelu_tanh)(float* x, size_t n);
  void (*silu)(float* x, size_t n);
  void (*relu)(float* x, size_t n);
  // RoPE: rotates each of `heads` heads of `head_size` values, from x on, pair (c, c + head_size / 2) by its angle;
  // `angles`: head_size / 2 cosines, then as many sines.
  void (*rotate)(float* x, size_t heads, size_t head_size, const float* angles);
  // x = (x - mean) / sqrt(variance + epsilon) * gamma + beta, in two passes.
  void (*layer_norm)(float* x, size_t n, const float* gamma, const float* beta, float epsilon);
  // x = x / sqrt(mean of squares + epsilon) * gamma
  void (*rms_norm)(float* x, size_t n, const float* gamma, float epsilon);

  // Not null: the layers are computed on tiles (tile_ops.h) by these instead of `linear` and `attention`.
  const TileKernels* tiles = nullptr;
};

// The tiers compiled into this program, best first per precision; emulated tiers, which exist for tests, last.
std::span<const KernelTable* const> compiled_kernels();

// Why this machine cannot run a table's tier; empty when it can. Asks the operating system for the AMX state where that
// is needed.
std::string_view unsupported_reason(const KernelTable& table);

// Whether "auto" may pick it: what is faster than fp32, but for int8 and int4, which move scores.
bool is_automatic(const KernelTable& table);

// Whether it is there for speed on this CPU: not emulated tiers, nor products in bf16 where fp32 is as fast.
bool faster_than_fp32(const KernelTable& table);

}  // namespace rerank::engine::cpu
