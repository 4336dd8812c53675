// Scores pairs that may each have a query of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rerank/reranker.h"

namespace rerank::api {

struct PairScores {
  std::vector<float> scores;  // in the order of the pairs
  // Sums over the requests made of them, but total and queue times: of the one that took longest. No results.
  RerankResponse whole;
};

struct PairTexts {
  std::vector<std::string> queries;    // one for all documents, or as many as there are documents
  std::vector<std::string> documents;  // not empty
};

// Neighbouring pairs with the same query make one request, with everything but the texts taken from `settings`; one
// query for all is not copied. `done` is called once, when all are scored or with the first error, and must not block.
void score_pairs(Reranker& reranker, const RerankRequest& settings, PairTexts pairs,
                 std::function<void(Result<PairScores>)> done);

}  // namespace rerank::api
