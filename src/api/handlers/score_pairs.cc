#include "api/handlers/score_pairs.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "base/strings.h"

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
  Gathering(const std::shared_ptr<MemoryAccount>& account, std::function<void(Result<PairScores>)> then)
      : held(account), done(std::move(then)) {}

  HeldMemory held;  // of what each request copies
  // Of the rest, once one has failed, or the client has gone.
  const std::shared_ptr<Cancellation> cancellation = std::make_shared<Cancellation>();
  std::mutex mutex;
  size_t missing = 0;  // requests
  Status status;
  PairScores scores;
  std::function<void(Result<PairScores>)> done;

  void take(size_t first, const Result<RerankResponse>& result) {
    bool last = false, first_failure = false;
    {
      const std::lock_guard lock(mutex);
      if (result.ok()) {
        for (const RankedDocument& document : result->results) scores.scores[first + document.index] = document.score;
        add(scores.whole, *result);
      } else {
        first_failure = status.ok();
        if (first_failure) status = result.status();
      }
      last = --missing == 0;
    }
    if (!last) {
      if (first_failure) cancellation->cancel();
    } else if (status.ok()) {
      done(std::move(scores));
    } else {
      done(status);
    }
  }
};

size_t distinct_neighbours(const std::vector<std::string>& queries) {
  size_t count = 0;
  for (size_t i = 0; i < queries.size(); ++i) count += i == 0 || queries[i] != queries[i - 1];
  return count;
}

// With the index of the first pair of each.
std::vector<std::pair<size_t, std::shared_ptr<RerankRequest>>> requests_of(const RerankRequest& settings,
                                                                           PairTexts pairs) {
  std::vector<std::pair<size_t, std::shared_ptr<RerankRequest>>> requests;
  for (size_t i = 0; i < pairs.queries.size(); ++i) {
    if (requests.empty() || requests.back().second->query != pairs.queries[i]) {
      auto request = std::make_shared<RerankRequest>(settings);
      request->query = std::move(pairs.queries[i]);
      requests.emplace_back(i, std::move(request));
    }
    if (pairs.queries.size() > 1) requests.back().second->documents.push_back(std::move(pairs.documents[i]));
  }
  if (pairs.queries.size() == 1) requests.front().second->documents = std::move(pairs.documents);
  return requests;
}

}  // namespace

void score_pairs(Reranker& reranker, const RerankRequest& settings, PairTexts pairs,
                 std::function<void(Result<PairScores>)> done) {
  if (settings.instruction && settings.instruction->size() > kMaxInstructionBytes)
    return done(absl::OutOfRangeError(str_cat("`instruction` has more than ", kMaxInstructionBytes, " bytes")));
  auto gathering = std::make_shared<Gathering>(settings.memory, std::move(done));
  gathering->missing = distinct_neighbours(pairs.queries);
  gathering->scores.scores.resize(pairs.documents.size());
  const size_t each = sizeof(RerankRequest) + (settings.instruction ? settings.instruction->size() : 0);
  if (Status held = gathering->held.add(gathering->missing * each); !held.ok()) return gathering->done(held);
  if (settings.cancellation) {
    settings.cancellation->on_cancel([weak = std::weak_ptr(gathering->cancellation)] {
      if (const auto all = weak.lock()) all->cancel();
    });
  }
  RerankRequest shared = settings;
  shared.cancellation = gathering->cancellation;
  for (auto& [first, request] : requests_of(shared, std::move(pairs))) {
    const auto take = [gathering, first = first](const Result<RerankResponse>& result) {
      gathering->take(first, result);
    };
    if (gathering->cancellation->cancelled()) {
      take(absl::CancelledError("another pair of the request has failed"));
    } else {
      reranker.submit(std::move(request), take);
    }
  }
}

}  // namespace rerank::api
