#include "api/handlers/score_pairs.h"

#include <algorithm>
#include <memory>
#include <mutex>

namespace rerank::api {
namespace {

void add(RerankResponse& whole, const RerankResponse& part) {
  whole.documents += part.documents;
  whole.total_tokens += part.total_tokens;
  whole.truncated_documents += part.truncated_documents;
  whole.cached_documents += part.cached_documents;
  Timings& all = whole.timings;
  const Timings& one = part.timings;
  all.total_us = std::max(all.total_us, one.total_us);
  all.queue_us = std::max(all.queue_us, one.queue_us);
  all.cache_us += one.cache_us;
  all.tokenize_us += one.tokenize_us;
  all.compute_us += one.compute_us;
}

// What the requests of one call write into.
struct Gathering {
  std::mutex mutex;
  size_t missing = 0;  // requests
  Status status;
  PairScores scores;
  std::function<void(Result<PairScores>)> done;

  void take(size_t first, const Result<RerankResponse>& result) {
    {
      const std::lock_guard lock(mutex);
      if (!result.ok()) {
        if (status.ok()) status = result.status();
      } else {
        for (const RankedDocument& document : result->results) scores.scores[first + document.index] = document.score;
        add(scores.whole, *result);
      }
      if (--missing > 0) return;
    }
    if (status.ok()) {
      done(std::move(scores));
    } else {
      done(status);
    }
  }
};

}  // namespace

void score_pairs(Reranker& reranker, const RerankRequest& settings, PairTexts pairs,
                 std::function<void(Result<PairScores>)> done) {
  std::vector<std::pair<size_t, std::shared_ptr<RerankRequest>>> requests;  // with the index of the first pair
  for (size_t i = 0; i < pairs.queries.size(); ++i) {
    if (requests.empty() || requests.back().second->query != pairs.queries[i]) {
      auto request = std::make_shared<RerankRequest>(settings);
      request->query = std::move(pairs.queries[i]);
      requests.emplace_back(i, std::move(request));
    }
    if (pairs.queries.size() > 1) requests.back().second->documents.push_back(std::move(pairs.documents[i]));
  }
  const size_t count = pairs.documents.size();
  if (pairs.queries.size() == 1) requests.front().second->documents = std::move(pairs.documents);
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = requests.size();
  gathering->scores.scores.resize(count);
  gathering->done = std::move(done);
  for (const auto& [first, request] : requests) {
    reranker.submit(
        request, [gathering, first = first](const Result<RerankResponse>& result) { gathering->take(first, result); });
  }
}

}  // namespace rerank::api
