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

// Llama 3's scaling, where there is one.
static double scaled(const model::Rope& rope, double frequency) {
  if (rope.llama3 == 0) return frequency;
  const double wavelength = 2 * M_PI / frequency;
  if (wavelength > rope.original / rope.low_factor) return frequency / rope.llama3;
  if (wavelength < rope.original / rope.high_factor) return frequency;
  const double kept = (rope.original / wavelength - rope.low_factor) / (rope.high_factor - rope.low_factor);
  return (1 - kept) * frequency / rope.llama3 + kept * frequency;
}

std::vector<float> rope_table(const model::Rope& rope, size_t head_size, size_t positions) {
  const size_t half = head_size / 2;
  std::vector<float> table(positions * head_size);
  for (size_t position = 0; position < positions; ++position) {
    float* row = &table[position * head_size];
    for (size_t c = 0; c < half; ++c) {
      const double exponent = -2 * static_cast<double>(c) / static_cast<double>(head_size);
      const double angle = static_cast<double>(position) *
                           scaled(rope, std::pow(static_cast<double>(rope.theta), exponent) / rope.divisor);
      row[c] = static_cast<float>(std::cos(angle));
      row[half + c] = static_cast<float>(std::sin(angle));
    }
  }
  return table;
}

}  // namespace rerank::engine
