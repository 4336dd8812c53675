// fp16 and bf16 of fp32, to nearest, ties to even. g++ has _Float16 on some architectures only.
#pragma once

#include <Eigen/Core>
#include <bit>
#include <cmath>
#include <cstdint>

namespace rerank {

inline uint16_t to_half(float x) { return Eigen::numext::bit_cast<uint16_t>(Eigen::half(x)); }

inline uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace rerank
