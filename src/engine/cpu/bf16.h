#pragma once

#include <cstdint>
#include <cstring>

namespace rerank::engine::cpu {

inline uint16_t to_bf16(float x) {  // to nearest, ties to even; no NaNs come here
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

inline float from_bf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float x;
  std::memcpy(&x, &wide, 4);
  return x;
}

}  // namespace rerank::engine::cpu
