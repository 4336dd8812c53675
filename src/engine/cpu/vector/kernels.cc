// The tables of kernels, one per tier, from one source: Highway compiles this file again for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu/vector/kernels.cc"
// SSE tiers are left out: AVX2 is the floor, and Highway's baseline target is the portable tier. So are SVE's, whose
// vectors have no size that the compiler knows, and cannot be kept in arrays: arm64 has NEON.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <type_traits>
#include <vector>

#include "engine/cpu/bf16.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/cpu/amx/tile_kernels.h"
#include "engine/cpu/amx/tile_unit.h"
// Each of these again for each target: no include guards.
#include "engine/cpu/vector/math-inl.h"
#include "engine/cpu/vector/transpose-inl.h"
#include "engine/cpu/vector/products-inl.h"
#include "engine/cpu/vector/int8_product-inl.h"
#include "engine/cpu/vector/int4_product-inl.h"
#if HWY_TARGET <= HWY_AVX2
#include "engine/cpu/vector/tile_rows_product-inl.h"
#endif
#include "engine/cpu/vector/vectors-inl.h"
#include "engine/cpu/vector/blocks-inl.h"
#include "engine/cpu/vector/position_bias-inl.h"
#include "engine/cpu/vector/attention-inl.h"
#if HWY_TARGET <= HWY_AVX2
#include "engine/cpu/vector/tile_rows_attention-inl.h"
#endif
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {

// Tables are constants, not results of functions: code of a tier that this CPU lacks must not run, not even to name
// itself.
template <class P>
constexpr ProductKernels make_product() {
  return {.tile_columns = P::kColumns,
          .block_rows = P::block_rows,
          .panel_bytes = panel_bytes<P>,
          .pack = pack<P>,
          .matmul_scratch = matmul_scratch<P>,
          .matmul = matmul<P>};
}

template <class P, class Attention = P>
constexpr KernelTable make_table(KernelTier tier, Precision precision, const TileKernels* tiles = nullptr) {
  return {.tier = tier,
          .precision = precision,
          .linear = make_product<P>(),
          .exact = make_product<VectorProduct<Fp32Dot>>(),
          .attention_scratch = attention_scratch<Attention>,
          .attention = attention<Attention>,
          .position_scratch = position_scratch<Attention>,
          .position_panel_bytes = panel_bytes<Attention>,
          .pack_positions = pack<Attention>,
          .gelu = precision == Precision::kFp32 ? gelu : gelu_short,
          .gelu_tanh = gelu_tanh,
          .silu = silu,
          .relu = relu,
          .rotate = rotate,
          .layer_norm = layer_norm,
          .rms_norm = rms_norm,
          .tiles = tiles};
}

using Fp32 = VectorProduct<Fp32Dot>;

#if HWY_TARGET <= HWY_AVX3
extern constexpr KernelTable kAmx = make_table<Fp32>(KernelTier::kAmx, Precision::kBf16, &kTileBf16);
extern constexpr KernelTable kAmxInt8 = make_table<Fp32>(KernelTier::kAmx, Precision::kInt8, &kTileInt8);
extern constexpr KernelTable kAmxRows =
    make_table<TileRowsBf16<HardwareTiles>, TileRowsScores<HardwareTiles>>(KernelTier::kAmxRows, Precision::kBf16);
extern constexpr KernelTable kAmxRowsInt8 =
    make_table<TileRowsInt8<HardwareTiles>, TileRowsScores<HardwareTiles>>(KernelTier::kAmxRows, Precision::kInt8);
extern constexpr KernelTable kEmulatedAmxRows = make_table<TileRowsBf16<EmulatedTiles>, TileRowsScores<EmulatedTiles>>(
    KernelTier::kEmulatedAmxRows, Precision::kBf16);
extern constexpr KernelTable kEmulatedAmxRowsInt8 =
    make_table<TileRowsInt8<EmulatedTiles>, TileRowsScores<EmulatedTiles>>(KernelTier::kEmulatedAmxRows,
                                                                           Precision::kInt8);
extern constexpr KernelTable kAmxRowsInt4 =
    make_table<Int4Product<TileRowsBf16<HardwareTiles>>, TileRowsScores<HardwareTiles>>(KernelTier::kAmxRows,
                                                                                        Precision::kInt4);
extern constexpr KernelTable kBf16Int4 =
    make_table<Int4Product<VectorProduct<Bf16Dot<true>>>, VectorProduct<Bf16Dot<true>>>(KernelTier::kAvx512Bf16,
                                                                                        Precision::kInt4);
extern constexpr KernelTable kInt4 = make_table<Int4Product<Fp32>, Fp32>(KernelTier::kAvx512, Precision::kInt4);
extern constexpr KernelTable kBf16 =
    make_table<VectorProduct<Bf16Dot<true>>>(KernelTier::kAvx512Bf16, Precision::kBf16);
extern constexpr KernelTable kFp32 = make_table<Fp32>(KernelTier::kAvx512, Precision::kFp32);
extern constexpr KernelTable kInt8 =
    make_table<ByteProduct<VnniByteDot>, Fp32>(KernelTier::kAvx512Vnni, Precision::kInt8);
extern constexpr KernelTable kInt8WithBf16 =
    make_table<ByteProduct<VnniByteDot>, VectorProduct<Bf16Dot<true>>>(KernelTier::kAvx512VnniBf16, Precision::kInt8);
#elif HWY_TARGET <= HWY_AVX2
extern constexpr KernelTable kFp32 = make_table<Fp32>(KernelTier::kAvx2, Precision::kFp32);
extern constexpr KernelTable kInt8 = make_table<ByteProduct<Avx2ByteDot>, Fp32>(KernelTier::kAvx2, Precision::kInt8);
extern constexpr KernelTable kInt4 = make_table<Int4Product<Fp32>, Fp32>(KernelTier::kAvx2, Precision::kInt4);
extern constexpr KernelTable kEmulatedBf16Int4 =
    make_table<Int4Product<VectorProduct<Bf16Dot<false>>>, Fp32>(KernelTier::kEmulatedBf16, Precision::kInt4);
extern constexpr KernelTable kEmulatedBf16 =
    make_table<VectorProduct<Bf16Dot<false>>>(KernelTier::kEmulatedBf16, Precision::kBf16);
extern constexpr KernelTable kEmulatedAmx = make_table<Fp32>(KernelTier::kEmulatedAmx, Precision::kBf16, &kTileBf16);
extern constexpr KernelTable kEmulatedAmxRows = make_table<TileRowsBf16<EmulatedTiles>, TileRowsScores<EmulatedTiles>>(
    KernelTier::kEmulatedAmxRowsNarrow, Precision::kBf16);
extern constexpr KernelTable kEmulatedAmxRowsInt8 =
    make_table<TileRowsInt8<EmulatedTiles>, TileRowsScores<EmulatedTiles>>(KernelTier::kEmulatedAmxRowsNarrow,
                                                                           Precision::kInt8);
extern constexpr KernelTable kEmulatedAmxInt8 =
    make_table<Fp32>(KernelTier::kEmulatedAmx, Precision::kInt8, &kTileInt8);
#else
extern constexpr KernelTable kFp32 = make_table<Fp32>(KernelTier::kPortable, Precision::kFp32);
extern constexpr KernelTable kInt8 =
    make_table<ByteProduct<PlainByteDot>, Fp32>(KernelTier::kPortable, Precision::kInt8);
extern constexpr KernelTable kInt4 = make_table<Int4Product<Fp32>, Fp32>(KernelTier::kPortable, Precision::kInt4);
#endif

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace rerank::engine::cpu {

std::span<const KernelTable* const> compiled_kernels() {
  static const KernelTable* const kTables[] = {
#if HWY_TARGETS & HWY_AVX3
    &N_AVX3::kAmx,
    &N_AVX3::kAmxRows,
    &N_AVX3::kBf16,
    &N_AVX3::kFp32,
#endif
#if HWY_TARGETS & HWY_AVX2
    &N_AVX2::kFp32,
#endif
    &HWY_STATIC_DISPATCH(kFp32),
#if HWY_TARGETS & HWY_AVX3
    &N_AVX3::kAmxInt8,
    &N_AVX3::kAmxRowsInt8,
    &N_AVX3::kInt8WithBf16,
    &N_AVX3::kInt8,
    &N_AVX3::kAmxRowsInt4,
    &N_AVX3::kBf16Int4,
    &N_AVX3::kInt4,
#endif
#if HWY_TARGETS & HWY_AVX2
    &N_AVX2::kInt8,
    &N_AVX2::kInt4,
#endif
    &HWY_STATIC_DISPATCH(kInt8),
    &HWY_STATIC_DISPATCH(kInt4),
#if HWY_TARGETS & HWY_AVX2
    &N_AVX2::kEmulatedBf16,
    &N_AVX2::kEmulatedBf16Int4,
    &N_AVX2::kEmulatedAmxRows,
    &N_AVX2::kEmulatedAmxRowsInt8,
    &N_AVX2::kEmulatedAmx,
    &N_AVX2::kEmulatedAmxInt8,
#endif
#if HWY_TARGETS & HWY_AVX3
    &N_AVX3::kEmulatedAmxRows,
    &N_AVX3::kEmulatedAmxRowsInt8,
#endif
  };
  return kTables;
}

}  // namespace rerank::engine::cpu
#endif
