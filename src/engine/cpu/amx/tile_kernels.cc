// The tables of tile kernels: with the AMX instructions, and with their emulation.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/cpu/amx/tile_kernels.cc"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#include "hwy/foreach_target.h"
// clang-format off
#include "hwy/highway.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "engine/cpu/bf16.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/amx/tile_kernels.h"
#include "engine/cpu/amx/tile_unit.h"
#include "engine/cpu/amx/tiles.h"
// Each of these again for each target: no include guards.
#include "engine/cpu/vector/math-inl.h"
#include "engine/cpu/vector/transpose-inl.h"
#if HWY_TARGET <= HWY_AVX2
#include "engine/cpu/amx/tile_vectors-inl.h"
#include "engine/cpu/amx/tile_product-inl.h"
#include "engine/cpu/amx/tile_rows-inl.h"
#include "engine/cpu/amx/tile_positions-inl.h"
#include "engine/cpu/amx/tile_attention-inl.h"
#endif
// clang-format on

#if HWY_TARGET <= HWY_AVX2
HWY_BEFORE_NAMESPACE();
namespace rerank::engine::cpu::HWY_NAMESPACE {

template <class Tiles, bool kInt8>
constexpr TileKernels make_tile_kernels(const TileKernels* exact = nullptr) {
  using Inputs = TileInputs<Tiles, kInt8>;
  return {.int8 = kInt8,
          .inputs_per_tile = kInt8 ? 64 : 32,
          .pack = tile_pack<Inputs>,
          .product = tile_product<Inputs>,
          .attention_scratch = tile_attention_scratch,
          .position_scratch = tile_position_scratch,
          .attention = tile_attention<Tiles>,
          .norm = tile_norm,
          .quantize = tile_quantize,
          .rotate = tile_rotate,
          .exact = exact};
}

#if HWY_TARGET <= HWY_AVX3
extern constexpr TileKernels kTileBf16 = make_tile_kernels<HardwareTiles, false>();
extern constexpr TileKernels kTileInt8 = make_tile_kernels<HardwareTiles, true>(&kTileBf16);
#else
extern constexpr TileKernels kTileBf16 = make_tile_kernels<EmulatedTiles, false>();
extern constexpr TileKernels kTileInt8 = make_tile_kernels<EmulatedTiles, true>(&kTileBf16);
#endif

}  // namespace rerank::engine::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
