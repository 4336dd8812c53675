#include "engine/cpu/grouping.h"

#include <algorithm>
#include <numeric>
#include <queue>

namespace rerank::engine::cpu {

Grouping share_out(std::span<const uint32_t> offsets, size_t threads, size_t group_tokens) {
  Grouping result;
  if (offsets.size() < 2) return result;
  const size_t sequences = offsets.size() - 1, tokens = offsets.back();
  size_t count = (tokens + group_tokens - 1) / group_tokens;
  count = (count + threads - 1) / threads * threads;  // a whole number of rounds
  count = std::min(count, sequences);

  std::vector<uint32_t> order(sequences);
  std::iota(order.begin(), order.end(), 0);
  auto length = [&](uint32_t s) { return offsets[s + 1] - offsets[s]; };
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return length(a) > length(b); });

  using Load = std::pair<size_t, size_t>;  // tokens, group
  std::priority_queue<Load, std::vector<Load>, std::greater<>> lightest;
  for (size_t g = 0; g < count; ++g) lightest.emplace(0, g);
  result.groups.resize(count);
  size_t heaviest = 0;
  for (uint32_t s : order) {
    auto [load, group] = lightest.top();
    lightest.pop();
    result.groups[group].push_back(s);
    lightest.emplace(load + length(s), group);
    heaviest = std::max(heaviest, load + length(s));
  }
  // With one round of groups the heaviest decides. Working together costs some 10 % in waiting for one another.
  const size_t rounds = (count + threads - 1) / threads;
  const double fair = static_cast<double>(tokens) / static_cast<double>(threads);
  result.together = threads > 1 && static_cast<double>(heaviest * rounds) > 1.15 * fair && rounds <= 2;
  return result;
}

}  // namespace rerank::engine::cpu
