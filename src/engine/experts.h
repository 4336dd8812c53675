// Which experts of a feed-forward compute a token, and with what weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "model/architecture.h"

namespace rerank::engine {

struct ExpertShare {
  size_t expert = 0;
  float weight = 0;
};

// Of the router's outputs for one token, [experts.count]: softmax over all, the `chosen` largest (of equal ones the
// first), in the order of their numbers, so that sums are always taken in one order.
inline void choose_experts(const model::Experts& experts, std::span<const float> scores,
                           std::vector<ExpertShare>& chosen) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  chosen.clear();
  for (size_t i = 0; i < scores.size(); ++i) {
    const double value = std::exp(static_cast<double>(scores[i]) - largest);
    sum += value;
    chosen.push_back({i, static_cast<float>(value)});
  }
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const ExpertShare& a, const ExpertShare& b) { return a.weight > b.weight; });
  chosen.resize(experts.chosen);
  if (experts.normalized) {
    sum = 0;
    for (const ExpertShare& share : chosen) sum += share.weight;
  }
  for (ExpertShare& share : chosen) share.weight = static_cast<float>(share.weight / sum);
  std::sort(chosen.begin(), chosen.end(),
            [](const ExpertShare& a, const ExpertShare& b) { return a.expert < b.expert; });
}

}  // namespace rerank::engine
