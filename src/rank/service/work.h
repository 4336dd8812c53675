// One request on its way through the service: what its steps leave for the next ones. Included only within this room.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "rank/score.h"
#include "rank/service/prepared_query.h"
#include "rerank/reranker.h"
#include "text/lists/list_encoder.h"

namespace rerank::rank {

// Units of tokenizing write disjoint parts; the last one to finish goes on alone.
struct Work {
  Work(std::shared_ptr<const RerankRequest> what, Reranker::Done then)
      : request(std::move(what)), done(std::move(then)), held(request->memory) {}

  const std::shared_ptr<const RerankRequest> request;
  const Reranker::Done done;
  HeldMemory held;  // of what is made of the texts
  std::atomic<bool> answered{false};
  Status failure;  // of a unit; read by the last of them
  std::once_flag failed;
  TimePoint begin = Clock::now();
  std::vector<Hash128> texts;                    // hashes of the documents, as the next
  std::vector<Hash128> keys;                     // per document; empty when the cache is not used
  std::vector<size_t> missing;                   // documents whose score is not known yet, in order
  std::vector<std::pair<size_t, size_t>> units;  // ranges of `missing`
  std::atomic<size_t> units_left{0};
  std::unique_ptr<const PreparedQuery> own_query;  // null where requests share one
  const PreparedQuery* query = nullptr;            // own_query, or that of the shared query
  std::vector<std::vector<int32_t>> document_ids;
  std::vector<ScoredDocument> documents;
  std::vector<uint32_t> sequences;      // of each of `missing`: a document in chunks has several
  std::vector<text::ListBlock> blocks;  // of a model that reads documents together, without their ids
  std::vector<std::string> warnings;
  Timings timings;

  bool is_late() const { return request->deadline && Clock::now() > *request->deadline; }
  bool is_cancelled() const { return request->cancellation && request->cancellation->cancelled(); }
};

inline Status late() { return absl::DeadlineExceededError("not done within the deadline: too much was waiting"); }

}  // namespace rerank::rank
