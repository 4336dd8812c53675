#include <array>
#include <bit>
#include <cmath>

#include "cuda_fp8.h"

__nv_fp8_storage_t __nv_cvt_float_to_fp8(float x, __nv_saturation_t saturation, __nv_fp8_interpretation_t kind) {
  if (saturation != __NV_SATFINITE || kind != __NV_E4M3) emulation::misuse("a conversion to FP8 that is not emulated");
  if (std::isnan(x)) return 0x7f;
  const uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const float size = std::fabs(x);
  if (size >= 448.0f) return sign | 0x7e;
  if (size < 0x1p-6f) return sign | static_cast<uint8_t>(std::nearbyint(size * 512.0f));  // multiples of 2^-9
  uint32_t bits = std::bit_cast<uint32_t>(size);
  bits += 0x7ffff + (bits >> 20 & 1);  // to nearest, ties to even; a carry goes into the exponent
  return sign | static_cast<uint8_t>((bits >> 20) - (120 << 3));
}

namespace emulation {
namespace {

std::array<float, 256> all_values() {
  std::array<float, 256> values;
  for (int i = 0; i < 256; ++i) {
    const int exponent = i >> 3 & 15, fraction = i & 7;
    const int significand = exponent == 0 ? fraction : 8 + fraction;
    const float size = std::ldexp(static_cast<float>(significand), (exponent == 0 ? 1 : exponent) - 10);
    values[i] = (i & 0x7f) == 0x7f ? NAN : (i & 0x80) != 0 ? -size : size;
  }
  return values;
}

}  // namespace

float value_of(__nv_fp8_e4m3 x) {
  static const std::array<float, 256> values = all_values();
  return values[x.__x];
}

}  // namespace emulation
