#include "rank/score.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace rerank {

float sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

Result<std::vector<RankedDocument>> rank_documents(std::span<const ScoredDocument> documents, ScoreScale scale,
                                                   size_t top_n) {
  std::vector<RankedDocument> ranked(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const ScoredDocument& d = documents[i];
    if (!std::isfinite(d.logit)) {
      return absl::InternalError(str_cat("the model gave a score that is not a number for document ", i));
    }
    ranked[i] = {i, scale == ScoreScale::kSigmoid ? sigmoid(d.logit) : d.logit, d.logit, d.tokens, d.truncated};
  }
  // By logit: sigmoids of large logits round to the same 1.0.
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const RankedDocument& a, const RankedDocument& b) { return a.logit > b.logit; });
  if (top_n > 0 && top_n < ranked.size()) ranked.resize(top_n);
  return ranked;
}

}  // namespace rerank
