#include "rank/score.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace rerank::rank {

float sigmoid(float logit) { return 1.0f / (1.0f + std::exp(-logit)); }

float aggregate_chunks(std::span<const float> logits, size_t best) {
  if (logits.size() == 1) return logits[0];
  std::vector<float> sorted(logits.begin(), logits.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const size_t count = best == 0 ? sorted.size() : std::min(best, sorted.size());
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += sorted[i];
  return static_cast<float>(sum / static_cast<double>(count));
}

Result<std::vector<RankedDocument>> rank_documents(std::span<const ScoredDocument> documents, ScoreScale scale,
                                                   size_t top_n) {
  std::vector<RankedDocument> ranked(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    const ScoredDocument& d = documents[i];
    if (!std::isfinite(d.logit)) {
      return absl::InternalError(str_cat("the model gave a score that is not a number for document ", i));
    }
    ranked[i] = {.index = i,
                 .score = scale == ScoreScale::kSigmoid ? sigmoid(d.logit) : d.logit,
                 .logit = d.logit,
                 .tokens = d.tokens,
                 .truncated = d.truncated,
                 .document_tokens = d.document_tokens,
                 .kept = d.kept,
                 .best_chunk = d.best_chunk};
  }
  // Dropped ones come last, whatever was guessed.
  std::sort(ranked.begin(), ranked.end(), [&](const RankedDocument& a, const RankedDocument& b) {
    if (documents[a.index].dropped != documents[b.index].dropped) return documents[b.index].dropped;
    return ranks_before(a, b);
  });
  if (top_n > 0 && top_n < ranked.size()) ranked.resize(top_n);
  return ranked;
}

}  // namespace rerank::rank
