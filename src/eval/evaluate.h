// Candidates through a reranker: every judged query's documents scored, and what that cost. And how far two scorings of
// the same candidates agree.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "eval/data/collection.h"
#include "eval/data/score_store.h"
#include "rerank/reranker.h"

namespace rerank::eval {

// What scoring took. Scores found in the store count with the time they took then.
struct ScoringCost {
  uint64_t pairs = 0, tokens = 0, truncated = 0;
  uint64_t unknown = 0;     // candidates that the collection has no text for; left out
  uint64_t from_store = 0;  // pairs not computed now
  double seconds = 0;

  double pairs_per_second() const { return seconds > 0 ? static_cast<double>(pairs) / seconds : 0; }
};

struct Scored {
  TrecRun run;  // logits, in the candidates' order
  ScoringCost cost;
};

struct ScoringOptions {
  RerankRequest request;  // everything but the texts
  std::string settings;   // what else scores depend on, as text: part of the store's keys
  // A document's score may depend on the others of its request. With request.top_n, documents that are not among its
  // results stand after those that are, in the candidates' order.
  bool listwise = false;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Scores `candidates` of `queries`. The first error of the reranker ends it; what was scored is in the store.
Result<Scored> score_candidates(Reranker& reranker, const Collection& collection,
                                const std::vector<std::string>& queries, const TrecRun& candidates,
                                const ScoringOptions& options, ScoreStore& store);

// Every document for every query, in the collection's order.
TrecRun all_candidates(const Collection& collection, const std::vector<std::string>& queries);

// The first `k` of each list (0: all) in trec_eval's order.
TrecRun cut_run(const TrecRun& run, const std::vector<std::string>& queries, size_t k);

// Means over queries of how two scorings of the same candidates agree.
struct Agreement {
  size_t queries = 0;
  double kendall_tau = 1, top1 = 1, top5 = 1, top10 = 1;  // top-k: share of the first k in common
  double mean_logit_change = 0, largest_logit_change = 0, largest_score_change = 0;  // score: sigmoid of the logit
};

Agreement agreement(const TrecRun& a, const TrecRun& b);

}  // namespace rerank::eval
