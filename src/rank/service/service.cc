#include "rank/service/service.h"

#include <algorithm>
#include <future>
#include <new>
#include <utility>

#include "base/guarded.h"
#include "base/log.h"
#include "base/strings.h"
#include "rank/lists/list_job.h"
#include "rank/score.h"
#include "rank/service/known_scores.h"
#include "rank/service/pair_job.h"
#include "rank/service/request_settings.h"
#include "rank/service/service_metrics.h"
#include "rank/service/tokenizing.h"
#include "rank/service/work.h"

namespace rerank::rank {
namespace {

int64_t micros_since(TimePoint begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
}

ServiceParts complete(ServiceParts parts) {
  if (!parts.tokenizers) parts.tokenizers = std::make_shared<WorkerPool>(std::max<size_t>(1, parts.tokenizer_threads));
  if (!parts.pair_cache) parts.pair_cache = std::make_shared<cache::PairCache>(parts.cache_bytes, parts.cache_ttl);
  if (!parts.token_cache) parts.token_cache = std::make_shared<cache::TokenCache>(parts.token_cache_bytes);
  return parts;
}

}  // namespace

void Service::Pending::begin() {
  const std::lock_guard lock(mutex_);
  ++count_;
}

void Service::Pending::end() {
  const std::lock_guard lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

void Service::Pending::wait() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

Service::Service(ServiceParts parts) : parts_(complete(std::move(parts))) {
  if (parts_.metrics) metrics_ = std::make_unique<ServiceMetrics>(*parts_.metrics, parts_.own_caches);
  scheduler_ = std::make_unique<schedule::Scheduler>(*parts_.backend, parts_.planner, parts_.metrics.get(),
                                                     parts_.measured, parts_.model_layers, std::move(parts_.seat));
}

Service::~Service() {
  pending_.wait();
  scheduler_.reset();
}

// To the tokenizer threads.
void Service::post(std::function<void()> task) {
  pending_.begin();
  const Status posted = guarded([&] {
    parts_.tokenizers->post([this, task = std::move(task)] {
      const Status status = guarded(task);
      if (!status.ok()) log_error(message_of(status));
      pending_.end();
    });
  });
  if (posted.ok()) return;
  pending_.end();
  throw std::bad_alloc();  // what else could it be; who asked answers for it
}

void Service::submit(std::shared_ptr<const RerankRequest> request, Done done) {
  const auto work = std::make_shared<Work>(std::move(request), std::move(done));
  guard(work, [&] { start(work); });
}

// Runs a step of a request; what is thrown there is the request's error.
template <class Step>
void Service::guard(const std::shared_ptr<Work>& work, Step step) {
  if (Status status = guarded(step); !status.ok()) fail(work, std::move(status));
}

void Service::start(const std::shared_ptr<Work>& work) {
  const auto& documents = work->request->documents;
  if (Status status = check_request(parts_, *work->request); !status.ok()) return fail(work, std::move(status));
  work->document_ids.resize(documents.size());
  work->documents.resize(documents.size());
  prepare_query(parts_, *work);
  look_up(parts_, metrics_.get(), *work);
  if (parts_.shared_cache && !work->keys.empty() && !work->missing.empty()) {
    std::vector<Hash128> keys;
    for (size_t i : work->missing) keys.push_back(work->keys[i]);
    pending_.begin();
    const bool asked = parts_.shared_cache->find(std::move(keys), [this, work](const auto& scores) {
      guard(work, [&] {
        take_shared(parts_, scores, *work);
        go_on(work);
      });
      pending_.end();
    });
    if (asked) return;
    pending_.end();
  }
  go_on(work);
}

// Caches have said what they know. The rest is tokenized, unless it would be refused then.
void Service::go_on(const std::shared_ptr<Work>& work) {
  work->timings.cache_us = micros_since(work->begin);
  const RerankRequest& request = *work->request;
  if (work->missing.empty()) return answer(work);
  Status status = scheduler_->check(least_tokens(parts_, *work), request.priority, request.deadline);
  if (!status.ok()) return fail(work, std::move(status));
  divide_into_units(*work);
  for (size_t unit = 0; unit < work->units.size(); ++unit) {
    post([this, work, unit] { tokenize_unit(work, unit); });
  }
}

void Service::tokenize_unit(const std::shared_ptr<Work>& work, size_t unit) {
  rank::tokenize_unit(parts_, metrics_.get(), unit, *work);
  if (work->units_left.fetch_sub(1) == 1) guard(work, [&] { join_and_schedule(work); });
}

void Service::join_and_schedule(const std::shared_ptr<Work>& work) {
  const RerankRequest& request = *work->request;
  if (work->is_cancelled()) return fail(work, absl::CancelledError("the client has gone"));
  if (!work->failure.ok()) return fail(work, work->failure);
  if (work->is_late()) return fail(work, late());
  if (count_unknown(parts_, metrics_.get(), *work) && !reported_unknown_.exchange(true))
    log_warning(str_cat("of a request, ", work->warnings.back(), " (logged once)"));
  auto joined = parts_.lists ? job_of_lists(parts_, *scheduler_, *work) : job_of_pairs(parts_, *scheduler_, *work);
  if (!joined.ok()) return fail(work, joined.status());
  std::unique_ptr<schedule::Job> job = *std::move(joined);
  work->timings.tokenize_us = micros_since(work->begin) - work->timings.cache_us;
  job->layers = layers_of(parts_, request);
  job->priority = request.priority;
  job->deadline = request.deadline;
  job->cancellation = request.cancellation;
  job->share = request.use_cache;  // a request that wants scores computed anew shares none
  job->done = [this, work](schedule::Job& done_job, Status status) {
    guard(work, [&] { finish(work, done_job, std::move(status)); });
  };
  scheduler_->submit(std::move(job));
}

void Service::finish(const std::shared_ptr<Work>& work, schedule::Job& job, Status status) {
  if (!status.ok()) return fail(work, std::move(status));
  parts_.lists ? take_list_scores(parts_, metrics_.get(), job, *work) : take_logits(parts_, metrics_.get(), job, *work);
  keep_scores(parts_, metrics_.get(), *work);
  work->timings.queue_us = job.queue_us;
  work->timings.compute_us = job.compute_us;
  answer(work);
}

// All scores are there: sort and answer.
void Service::answer(const std::shared_ptr<Work>& work) {
  RerankResponse response;
  for (const ScoredDocument& d : work->documents) {
    response.total_tokens += d.tokens;
    response.truncated_documents += d.truncated;
  }
  response.warnings = std::move(work->warnings);
  response.documents = work->documents.size();
  response.cached_documents = work->documents.size() - work->missing.size();
  // A cosine is a score as it is.
  const ScoreScale asked = work->request->scale;
  const ScoreScale scale = parts_.lists                 ? ScoreScale::kLogit
                           : asked == ScoreScale::kAuto ? parts_.info.score_scale
                                                        : asked;
  auto ranked = rank_documents(work->documents, scale, work->request->top_n);
  if (!ranked.ok()) return fail(work, ranked.status());
  response.results = std::move(*ranked);
  response.timings = work->timings;
  response.timings.total_us = micros_since(work->begin);
  if (metrics_) metrics_->answered(response, !work->missing.empty());
  if (!work->answered.exchange(true)) work->done(std::move(response));
}

// Also the end of what has been answered already: then nobody hears of it but the log.
void Service::fail(const std::shared_ptr<Work>& work, Status status) {
  if (work->answered.exchange(true))
    return log_error(str_cat("after its answer, a request failed: ", message_of(status)));
  const Status handed = guarded([&] { work->done(std::move(status)); });
  if (!handed.ok()) log_error(message_of(handed));
}

std::vector<Token> Service::tokenize(std::string_view text, bool add_special_tokens) const {
  const text::Tokenizer& tokenizer = parts_.texts->tokenizer();
  std::vector<int32_t> ids;
  const std::vector<text::TextSpan> spans = tokenizer.encode_spans(text, ids);
  std::vector<Token> tokens;
  const auto add = [&](int32_t id, std::optional<ByteRange> place) {
    tokens.push_back({id, std::string(tokenizer.token_text(id)), tokenizer.is_special(id), place});
  };
  const std::vector<text::TemplatePiece> bare = {{text::TemplatePiece::Kind::kFirst}};
  for (const text::TemplatePiece& piece : add_special_tokens ? tokenizer.pair_template().single : bare) {
    if (piece.kind == text::TemplatePiece::Kind::kSpecial) {
      add(piece.id, std::nullopt);
      continue;
    }
    for (size_t i = 0; i < ids.size(); ++i) add(ids[i], ByteRange{spans[i].begin, spans[i].end});
  }
  return tokens;
}

Result<std::string> Service::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return parts_.texts->tokenizer().decode(ids, skip_special_tokens);
}

}  // namespace rerank::rank

namespace rerank {

Result<RerankResponse> Reranker::rerank(RerankRequest request) {
  std::promise<Result<RerankResponse>> promise;
  auto future = promise.get_future();
  submit(std::make_shared<const RerankRequest>(std::move(request)),
         [&](Result<RerankResponse> response) { promise.set_value(std::move(response)); });
  return future.get();
}

}  // namespace rerank
