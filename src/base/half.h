// fp16 of fp32, to nearest. g++ has _Float16 on some architectures only.
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace rerank {

inline uint16_t to_half(float x) { return Eigen::numext::bit_cast<uint16_t>(Eigen::half(x)); }

}  // namespace rerank
