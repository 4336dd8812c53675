// OCP's E4M3 as CUDA names it: 4 bits of exponent, biased by 7, 3 of fraction; 448 is the largest, there is no
// infinity, and all ones are no number.
#pragma once

#include <cstdint>

#include "cuda_runtime.h"

struct __nv_fp8_e4m3 {
  uint8_t __x;
};
using __nv_fp8_storage_t = uint8_t;
using __nv_fp8x2_storage_t = uint16_t;
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };

// To nearest, ties to even; e4m3 and satfinite only: what is larger becomes 448.
__attribute__((visibility("default"))) __nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t saturation,
                                                                                __nv_fp8_interpretation_t kind);
inline __nv_fp8x2_storage_t __nv_cvt_float2_to_fp8x2(float2 x, __nv_saturation_t saturation,
                                                     __nv_fp8_interpretation_t kind) {
  return static_cast<uint16_t>(__nv_cvt_float_to_fp8(x.x, saturation, kind) |
                               __nv_cvt_float_to_fp8(x.y, saturation, kind) << 8);
}

namespace emulation {
__attribute__((visibility("default"))) float value_of(__nv_fp8_e4m3 x);
}
