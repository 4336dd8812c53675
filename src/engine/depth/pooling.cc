#include "engine/depth/pooling.h"

#include <algorithm>

namespace rerank::engine {
namespace {

void mean_of(std::span<const float> rows, size_t hidden, float* mean) {
  std::fill_n(mean, hidden, 0.0f);
  for (size_t at = 0; at < rows.size(); at += hidden) {
    for (size_t i = 0; i < hidden; ++i) mean[i] += rows[at + i];
  }
  const size_t count = rows.size() / hidden;
  const float share = count == 0 ? 0.0f : 1.0f / static_cast<float>(count);
  for (size_t i = 0; i < hidden; ++i) mean[i] *= share;
}

}  // namespace

size_t query_tokens(std::span<const int32_t> ids, std::span<const int32_t> segments) {
  const auto separator = std::find(ids.begin() + 1, ids.end(), ids.back());
  if (separator < ids.end() - 1) return static_cast<size_t>(separator - ids.begin()) + 1;
  const auto second = std::find_if(segments.begin(), segments.end(), [&](int32_t s) { return s != segments[0]; });
  return static_cast<size_t>(second - segments.begin());
}

void pool_states(const Batch& batch, size_t hidden, bool last, std::span<const float> rows, std::span<float> pooled) {
  for (size_t s = 0; s < batch.size(); ++s) {
    const size_t begin = batch.offsets[s], length = batch.length(s);
    const size_t query = query_tokens(batch.ids.subspan(begin, length), batch.segments.subspan(begin, length));
    const auto part = [&](size_t from, size_t to) {
      return rows.subspan((begin + from) * hidden, (to - from) * hidden);
    };
    float* out = &pooled[s * 3 * hidden];
    std::copy_n(&rows[(last ? begin + length - 1 : begin) * hidden], hidden, out);
    mean_of(part(1, query), hidden, out + hidden);
    mean_of(part(query, length), hidden, out + 2 * hidden);
  }
}

}  // namespace rerank::engine
