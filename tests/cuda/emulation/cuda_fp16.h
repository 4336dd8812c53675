// IEEE 754 binary16 as CUDA names it.
#pragma once

#include <cstdint>

struct __half {
  uint16_t bits;
};
struct __half2 {
  __half x, y;
};

float __half2float(__half x);
__half __float2half_rn(float x);
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
