// The tables of tile kernels by instruction set, for kernels.cc to name.
#pragma once

#include <hwy/targets.h>

#include "engine/cpu/amx/tiles.h"

namespace rerank::engine::cpu {

#if defined(__x86_64__)
namespace N_AVX3 {
extern const TileKernels kTileBf16, kTileInt8;  // AMX instructions
}
namespace N_AVX2 {
extern const TileKernels kTileBf16, kTileInt8;  // emulated
}
#endif

}  // namespace rerank::engine::cpu
