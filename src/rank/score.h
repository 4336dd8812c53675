// Logits -> a sorted answer. Pure.
#pragma once

#include <span>
#include <vector>

#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::rank {

float sigmoid(float logit);

// Per document of a request: what is known when its logit is.
struct ScoredDocument {
  float logit = 0;
  uint32_t tokens = 0;
  bool truncated = false;
  // Where the request wants cuts explained; see RankedDocument.
  uint32_t document_tokens = 0;
  std::vector<TokenRange> kept;
  uint32_t best_chunk = 0;
  bool dropped = false;  // it left before the last layer, for others were surely better; the logit is a guess
};

// One logit of those of a document's chunks: the mean of the best `best` (0: of all).
float aggregate_chunks(std::span<const float> logits, size_t best);

// Best first, ties in input order, cut to top_n. Internal when a logit is not finite, naming the document.
Result<std::vector<RankedDocument>> rank_documents(std::span<const ScoredDocument> documents, ScoreScale scale,
                                                   size_t top_n);

}  // namespace rerank::rank
