#include "engine/attention_pattern.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <utility>

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

namespace {

// DeBERTa-v2's make_log_bucket_position().
ptrdiff_t log_bucket(const model::RelativePositions& relative, ptrdiff_t distance) {
  const auto middle = static_cast<ptrdiff_t>(relative.buckets / 2), far = std::abs(distance);
  if (relative.buckets == 0 || far <= middle) return distance;
  const auto half = static_cast<double>(middle);
  const double step = std::log(static_cast<double>(far) / half) /
                      std::log(static_cast<double>(relative.max_distance - 1) / half) * (half - 1);
  const auto bucket = static_cast<ptrdiff_t>(std::ceil(step)) + middle;
  return distance < 0 ? -bucket : bucket;
}

// T5's, as MPNet has them: half of the buckets for keys behind the query; half of a half for near ones, each its own.
size_t t5_bucket(const model::RelativePositions& relative, ptrdiff_t distance) {
  const size_t half = relative.buckets / 2, near = half / 2, far = static_cast<size_t>(std::abs(distance));
  const size_t behind = distance < 0 ? half : 0;
  if (far < near) return behind + far;
  // In fp32, as torch computes it: a value at the border falls where it falls there.
  const float step =
      std::log(static_cast<float>(far) / static_cast<float>(near)) /
      static_cast<float>(std::log(static_cast<double>(relative.max_distance) / static_cast<double>(near))) *
      static_cast<float>(half - near);
  return behind + std::min(half - 1, near + static_cast<size_t>(step));
}

}  // namespace

size_t relative_row(const model::Attention& attention, ptrdiff_t distance) {
  const model::RelativePositions& relative = attention.relative;
  if (attention.position == model::PositionKind::kBuckets) return t5_bucket(relative, distance);
  const auto rows = static_cast<ptrdiff_t>(relative.rows);
  return static_cast<size_t>(std::clamp<ptrdiff_t>(log_bucket(relative, distance) + rows / 2, 0, rows - 1));
}

size_t relative_reach(const model::Attention& attention, size_t max_length) {
  size_t reach = max_length;
  const auto at = [&](size_t distance) {
    const auto signed_distance = static_cast<ptrdiff_t>(distance);
    return std::pair(relative_row(attention, signed_distance), relative_row(attention, -signed_distance));
  };
  const auto outermost = at(max_length);
  while (reach > 0 && at(reach - 1) == outermost) --reach;
  return reach;
}

std::vector<float> bias_by_distance(const model::Attention& attention, const std::vector<float>& table, size_t head,
                                    size_t length) {
  std::vector<float> bias(2 * length - 1);
  for (size_t i = 0; i < bias.size(); ++i) {
    const auto distance = static_cast<ptrdiff_t>(length - 1) - static_cast<ptrdiff_t>(i);
    bias[i] = table[relative_row(attention, distance) * attention.heads + head];
  }
  return bias;
}

std::vector<float> relative_table(const model::Weights& weights, const model::Architecture& a) {
  std::vector<float> table = weights.relative->floats();
  if (!weights.relative_norm) return table;
  const std::vector<float> gamma = weights.relative_norm->gamma.floats(), beta = weights.relative_norm->beta_floats();
  for (size_t row = 0; row < table.size(); row += gamma.size()) {
    double mean = 0, variance = 0;
    for (size_t c = 0; c < gamma.size(); ++c) mean += table[row + c];
    mean /= static_cast<double>(gamma.size());
    for (size_t c = 0; c < gamma.size(); ++c) variance += (table[row + c] - mean) * (table[row + c] - mean);
    const double scale = 1 / std::sqrt(variance / static_cast<double>(gamma.size()) + a.norm_epsilon);
    for (size_t c = 0; c < gamma.size(); ++c)
      table[row + c] = static_cast<float>((table[row + c] - mean) * scale) * gamma[c] + beta[c];
  }
  return table;
}

std::vector<float> projected_positions(const std::vector<float>& table, const model::Linear& projection) {
  const size_t in = projection.in(), out = projection.out(), rows = table.size() / in;
  const std::vector<float> weight = projection.weight.floats(), bias = projection.bias_floats();
  std::vector<float> result(rows * out);
  constexpr size_t kRows = 4, kSums = 8;  // of independent sums, so that the compiler uses vectors
  for (size_t first = 0; first < rows; first += kRows) {
    for (size_t o = 0; o < out; ++o) {
      for (size_t r = first; r < std::min(rows, first + kRows); ++r) {
        float sums[kSums] = {};
        const float *x = &table[r * in], *w = &weight[o * in];
        size_t i = 0;
        for (; i + kSums <= in; i += kSums)
          for (size_t k = 0; k < kSums; ++k) sums[k] += x[i + k] * w[i + k];
        float sum = bias[o];
        for (; i < in; ++i) sum += x[i] * w[i];
        for (const float part : sums) sum += part;
        result[r * out + o] = sum;
      }
    }
  }
  return result;
}

float score_scale(const model::Attention& attention) {
  return attention.score_scale != 0 ? attention.score_scale : 1 / std::sqrt(static_cast<float>(attention.head_size));
}

}  // namespace rerank::engine
