#include "engine/attention_pattern.h"

#include <bit>
#include <cmath>

namespace rerank::engine {

float alibi_slope(size_t heads, size_t head) {
  const size_t power = std::bit_floor(heads);
  const double step = head < power ? static_cast<double>(head + 1) / static_cast<double>(power)
                                   : static_cast<double>(2 * (head - power) + 1) / static_cast<double>(2 * power);
  return static_cast<float>(std::exp2(-8 * step));
}

std::vector<float> rope_table(const model::Rope& rope, size_t head_size, size_t positions) {
  const size_t half = head_size / 2;
  std::vector<float> table(positions * head_size);
  for (size_t position = 0; position < positions; ++position) {
    float* row = &table[position * head_size];
    for (size_t c = 0; c < half; ++c) {
      const double exponent = -2 * static_cast<double>(c) / static_cast<double>(head_size);
      const double angle = static_cast<double>(position) * std::pow(static_cast<double>(rope.theta), exponent) /
                           static_cast<double>(rope.divisor);
      row[c] = static_cast<float>(std::cos(angle));
      row[half + c] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace rerank::engine
