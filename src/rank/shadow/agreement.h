// How far two scorings of the same documents agree. Pure.
#pragma once

#include <limits>
#include <span>

namespace rerank::rank {

struct LogitAgreement {
  bool same_first = true;         // the best document is the same one (of equal ones the earliest counts)
  double kendall_tau = 1;         // 1: the same order, -1: the opposite; ties of both count as agreed
  double largest_difference = 0;  // of a logit
};

// Served's logit of a document that an answer cut to top_n did not return: after all that it did.
inline constexpr float kNotReturned = -std::numeric_limits<float>::infinity();

// One logit per document in each, in the same order; as long as each other, at least one. Two documents that were both
// not returned say nothing.
LogitAgreement compare_logits(std::span<const float> served, std::span<const float> reference);

}  // namespace rerank::rank
