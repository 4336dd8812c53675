// Waist 1: what every transport hands to the ranking service and gets back. Plain data: no JSON, no HTTP.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rerank/choice.h"
#include "rerank/status.h"
#include "rerank/truncation.h"

namespace rerank {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

// What `RankedDocument::score` holds: sigmoid(logit) in [0, 1], or the logit itself. kAuto: of a request, what the
// model is served with (--score-scale); there, what the model's files ask for.
enum class ScoreScale { kAuto, kSigmoid, kLogit };

template <>
struct Choices<ScoreScale> {
  static constexpr Choice<ScoreScale> kAll[] = {
      {ScoreScale::kAuto, "auto"}, {ScoreScale::kSigmoid, "sigmoid"}, {ScoreScale::kLogit, "logit"}};
};

// Which end of a text is cut when a pair is longer than the limit.
enum class TruncationSide { kRight, kLeft };

// Set by a transport when its client has gone: what waits of the request is dropped at once. Thread-safe.
class Cancellation {
 public:
  void cancel() {
    std::vector<std::function<void()>> listeners;
    {
      const std::lock_guard lock(mutex_);
      cancelled_.store(true, std::memory_order_release);
      listeners.swap(listeners_);
    }
    for (const auto& listener : listeners) listener();
  }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // `listener` is called once, by the thread that cancels (or here, if that has happened); it must not block. It is
  // kept as long as this object, so it must not own what owns this.
  void on_cancel(std::function<void()> listener) {
    {
      const std::lock_guard lock(mutex_);
      if (!cancelled()) {
        listeners_.push_back(std::move(listener));
        return;
      }
    }
    listener();
  }

 private:
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  std::vector<std::function<void()>> listeners_;
};

// What a request's memory is counted in, beside its texts, which its transport counts. Thread-safe.
class MemoryAccount {
 public:
  virtual ~MemoryAccount() = default;
  // So many more bytes are held. Errors: there is no room for them; then none of them is.
  virtual Status add(size_t bytes) = 0;
  virtual void remove(size_t bytes) = 0;
};

// Bytes that are held as long as this object lives. Thread-safe.
class HeldMemory {
 public:
  // `account`: null: nothing is counted or refused.
  explicit HeldMemory(std::shared_ptr<MemoryAccount> account) : account_(std::move(account)) {}
  ~HeldMemory() {
    if (account_) account_->remove(bytes_);
  }
  HeldMemory(const HeldMemory&) = delete;
  HeldMemory& operator=(const HeldMemory&) = delete;

  Status add(size_t bytes) {
    if (!account_ || bytes == 0) return ok_status();
    Status status = account_->add(bytes);
    if (status.ok()) bytes_ += bytes;
    return status;
  }

 private:
  const std::shared_ptr<MemoryAccount> account_;
  std::atomic<size_t> bytes_{0};
};

// One query of several requests with the same settings (the parts of a stream): its text is held, and tokenized, once.
class SharedQuery {
 public:
  explicit SharedQuery(std::string text) : text_(std::move(text)) {}
  const std::string& text() const { return text_; }

  // What the service keeps of the query, made by the first request that needs it. Thread-safe. If `make` throws, the
  // next call makes it.
  template <class T, class Make>
  const T& prepared(Make make) {
    std::call_once(once_, [&] { prepared_ = std::make_shared<const T>(make()); });
    return *static_cast<const T*>(prepared_.get());
  }

 private:
  std::string text_;
  std::once_flag once_;
  std::shared_ptr<const void> prepared_;
};

// Of RerankRequest::instruction: a sentence or two, which each pair's prompt repeats.
inline constexpr size_t kMaxInstructionBytes = 8192;

struct RerankRequest {
  std::string query;                   // UTF-8; invalid bytes read as U+FFFD
  std::vector<std::string> documents;  // UTF-8; empty texts are scored like any other
  // What the query is for, of models whose prompt has a place for it; absent: as the server is set. InvalidArgument
  // with others. At most kMaxInstructionBytes.
  std::optional<std::string> instruction;

  size_t top_n = 0;  // results wanted; 0 or more than there are documents: all
  ScoreScale scale = ScoreScale::kAuto;

  bool truncate = true;  // false: a pair longer than the limit is OutOfRange instead of being cut
  TruncationSide truncation_side = TruncationSide::kRight;
  size_t max_length = 0;           // tokens per pair, special tokens included; 0: the server's limit
  size_t max_query_tokens = 0;     // tokens kept of the query before pairing; 0: no own limit
  size_t max_document_tokens = 0;  // tokens kept of each document before pairing; 0: no own limit
  // What else may be done with documents over the limit. Absent: as the server is set (--truncation and its chunks),
  // except that side kLeft means kTail.
  std::optional<Truncation> truncation;
  std::optional<size_t> chunk_overlap;
  std::optional<size_t> chunk_best;  // see Chunking::best
  size_t max_chunks = 0;             // 0 or more than the server's: the server's
  bool explain_cuts = false;         // fill in RankedDocument::kept; scores are not taken from the cache then

  size_t layers = 0;  // layers of the model that are computed; 0: as the server is set (--layers)

  bool use_cache = true;                       // false: neither read nor write the pair cache
  int priority = 0;                            // higher goes first among waiting work
  std::optional<TimePoint> deadline;           // work not done by then is refused
  std::shared_ptr<Cancellation> cancellation;  // null: cannot be cancelled
  std::shared_ptr<SharedQuery> shared_query;   // taken instead of `query` when set
  std::shared_ptr<MemoryAccount> memory;       // null: what it takes is not counted

  const std::string& query_text() const { return shared_query ? shared_query->text() : query; }
};

struct RankedDocument {
  size_t index = 0;        // position in RerankRequest::documents
  float score = 0;         // on the request's scale; always finite
  float logit = 0;         // the model's raw output
  uint32_t tokens = 0;     // tokens scored for this pair, special tokens included
  bool truncated = false;  // the pair was longer than the limit and was cut
  // With explain_cuts:
  uint32_t document_tokens = 0;  // of the whole document
  std::vector<TokenRange> kept;  // what was scored of it: one part, several windows, or a part per chunk
  uint32_t best_chunk = 0;       // of several chunks, the one with the largest logit
};

// The order of results: the larger logit first, of equal ones the document that came first. By logit, not by score:
// sigmoids of large logits round to the same 1.0.
inline bool ranks_before(const RankedDocument& a, const RankedDocument& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.index < b.index;
}

// Wall time spent per stage of one request, in microseconds.
struct Timings {
  int64_t total_us = 0;
  int64_t cache_us = 0;     // until the caches have said what they know
  int64_t tokenize_us = 0;  // from then until it is queued
  int64_t queue_us = 0;     // longest wait of any of its pairs
  int64_t compute_us = 0;   // sum over the batches its pairs took part in, each counted once
};

// What one model of a cascade has said (serve/cascade.h).
struct StageScores {
  std::string model;
  std::vector<std::pair<uint32_t, float>> scores;  // of the request's documents that it scored, best first
  Timings timings;
};

struct RerankResponse {
  std::vector<RankedDocument> results;  // best first, ties in input order, cut to top_n
  size_t documents = 0;                 // of the request
  uint64_t total_tokens = 0;            // sum over all documents, also those beyond top_n
  size_t truncated_documents = 0;
  size_t cached_documents = 0;
  std::vector<std::string> warnings;  // for whoever reads the answer: sentences
  Timings timings;
  std::vector<StageScores> stages;  // in their order; empty where one model has answered
};

}  // namespace rerank
