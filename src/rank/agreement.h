// How far two scorings of the same documents agree. Pure.
#pragma once

#include <span>

namespace rerank {

struct Agreement {
  bool same_first = true;         // the best document is the same one (of equal ones the earliest counts)
  double kendall_tau = 1;         // 1: the same order, -1: the opposite; ties of both count as agreed
  double largest_difference = 0;  // of a logit
};

// One logit per document in each, in the same order; as long as each other, at least one.
Agreement compare_logits(std::span<const float> served, std::span<const float> reference);

}  // namespace rerank
