#include "rank/shadow/agreement.h"

#include <algorithm>
#include <cmath>

namespace rerank::rank {

// Kendall's tau, with ties counted as half a pair (Kendall 1938; gamma differs only where there are ties).
LogitAgreement compare_logits(std::span<const float> served, std::span<const float> reference) {
  LogitAgreement found;
  const auto first = [](std::span<const float> logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  found.same_first = first(served) == first(reference);
  const auto sign = [](float a, float b) { return (a > b) - (a < b); };
  double agreed = 0, pairs = 0;
  for (size_t i = 0; i < served.size(); ++i) {
    if (served[i] != kNotReturned) {
      found.largest_difference =
          std::max(found.largest_difference, std::abs(static_cast<double>(served[i]) - reference[i]));
    }
    for (size_t j = i + 1; j < served.size(); ++j) {
      if (served[i] == kNotReturned && served[j] == kNotReturned) continue;
      ++pairs;
      const int one = sign(served[i], served[j]), other = sign(reference[i], reference[j]);
      agreed += one == other ? 1 : one * other;
    }
  }
  if (pairs > 0) found.kendall_tau = agreed / pairs;
  return found;
}

}  // namespace rerank::rank
