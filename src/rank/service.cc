#include "rank/service.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>

#include "base/guarded.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "engine/depth/seen_outputs.h"
#include "rank/lists/list_scores.h"
#include "rank/prepared_query.h"
#include "rank/score.h"
#include "rank/service_metrics.h"

namespace rerank::rank {
namespace {

// Documents are handed to the pool in portions of about this many bytes: some 100 us of tokenizing each.
constexpr size_t kUnitBytes = 16384;

// No language has more bytes to a token, on the average of a text: a request has at least this many tokens.
constexpr size_t kBytesPerToken = 8;

// One unknown token of so many is told: names and signs that a vocabulary lacks are not.
constexpr size_t kMostUnknown = 5;

Status late() { return absl::DeadlineExceededError("not done within the deadline: too much was waiting"); }

int64_t micros_since(TimePoint begin) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
}

}  // namespace

// One request on its way. Units of tokenizing write disjoint parts; the last one to finish goes on alone.
struct Service::Work {
  std::shared_ptr<const RerankRequest> request;
  Done done;
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
};

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

namespace {

ServiceParts complete(ServiceParts parts) {
  if (!parts.tokenizers) parts.tokenizers = std::make_shared<WorkerPool>(std::max<size_t>(1, parts.tokenizer_threads));
  if (!parts.pair_cache) parts.pair_cache = std::make_shared<cache::PairCache>(parts.cache_bytes, parts.cache_ttl);
  if (!parts.token_cache) parts.token_cache = std::make_shared<cache::TokenCache>(parts.token_cache_bytes);
  return parts;
}

}  // namespace

Service::Service(ServiceParts parts)
    : parts_(complete(std::move(parts))), cache_(*parts_.pair_cache), tokens_(*parts_.token_cache) {
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

Status Service::check(const RerankRequest& request) const {
  if (request.documents.size() > parts_.max_documents) {
    return absl::OutOfRangeError(str_cat(request.documents.size(), " documents are more than the limit of ",
                                         parts_.max_documents, " (--max-documents)"));
  }
  RETURN_IF_ERROR(parts_.texts->check_instruction(request.instruction.has_value()));
  if (request.layers > parts_.model_layers) {
    return absl::OutOfRangeError(str_cat("`layers` is ", request.layers, ", and this model has ", parts_.model_layers));
  }
  if (request.layers != 0 && request.layers < parts_.first_output) {
    return absl::OutOfRangeError(str_cat("`layers` is ", request.layers, ", and this model has outputs behind layers ",
                                         parts_.first_output, " to ", parts_.model_layers));
  }
  if (!parts_.depth && request.layers != 0 && request.layers < parts_.model_layers) {
    return absl::InvalidArgumentError(
        str_cat("`layers`: engine ", parts_.info.engine, ", which serves this model, computes all layers"));
  }
  if (request.deadline && Clock::now() > *request.deadline)
    return absl::DeadlineExceededError("the deadline has passed");
  const Truncation how = fit_spec(request).truncation;
  if (parts_.lists && how != Truncation::kHead && how != Truncation::kTail) {
    return absl::InvalidArgumentError(
        "`truncation`: of documents that are scored together this model keeps the beginning (head) or the end (tail)");
  }
  return ok_status();
}

void Service::submit(std::shared_ptr<const RerankRequest> request, Done done) {
  auto work = std::make_shared<Work>();
  work->request = std::move(request);
  work->done = std::move(done);
  guard(work, [&] { start(work); });
}

// Runs a step of a request; what is thrown there is the request's error.
template <class Step>
void Service::guard(const std::shared_ptr<Work>& work, Step step) {
  if (Status status = guarded(step); !status.ok()) fail(work, std::move(status));
}

void Service::start(const std::shared_ptr<Work>& work) {
  const auto& documents = work->request->documents;
  if (Status status = check(*work->request); !status.ok()) return fail(work, std::move(status));
  work->document_ids.resize(documents.size());
  work->documents.resize(documents.size());
  prepare_query(*work);
  look_up(*work);
  if (parts_.shared_cache && !work->keys.empty() && !work->missing.empty()) {
    std::vector<Hash128> keys;
    for (size_t i : work->missing) keys.push_back(work->keys[i]);
    pending_.begin();
    const bool asked = parts_.shared_cache->find(std::move(keys), [this, work](const auto& scores) {
      guard(work, [&] {
        take_shared(work, scores);
        go_on(work);
      });
      pending_.end();
    });
    if (asked) return;
    pending_.end();
  }
  go_on(work);
}

void Service::take_shared(const std::shared_ptr<Work>& work,
                          const std::vector<std::optional<cache::CachedScore>>& scores) {
  const std::vector<size_t> asked = std::exchange(work->missing, {});
  for (size_t m = 0; m < asked.size(); ++m) {
    if (!scores[m]) {
      work->missing.push_back(asked[m]);
      continue;
    }
    work->documents[asked[m]] = {scores[m]->logit, scores[m]->tokens, scores[m]->truncated, 0, {}, 0};
    cache_.insert(work->keys[asked[m]], *scores[m], Clock::now());
  }
}

// Caches have said what they know. The rest is tokenized, unless it would be refused then.
void Service::go_on(const std::shared_ptr<Work>& work) {
  work->timings.cache_us = micros_since(work->begin);
  const RerankRequest& request = *work->request;
  if (work->missing.empty()) return answer(work);
  size_t tokens = 0;  // at least
  for (size_t i : work->missing) {
    tokens += std::min(request.documents[i].size() / kBytesPerToken + 1, parts_.info.max_length / 2);
  }
  if (Status status = scheduler_->check(tokens, request.priority, request.deadline); !status.ok()) {
    return fail(work, std::move(status));
  }
  // The first unit also takes the query.
  size_t first = 0, bytes = request.query_text().size();
  for (size_t i = 0; i < work->missing.size(); ++i) {
    bytes += request.documents[work->missing[i]].size();
    if (bytes < kUnitBytes && i + 1 < work->missing.size()) continue;
    work->units.emplace_back(first, i + 1);
    first = i + 1;
    bytes = 0;
  }
  work->units_left = work->units.size();
  for (size_t unit = 0; unit < work->units.size(); ++unit) {
    post([this, work, unit] { tokenize_unit(work, unit); });
  }
}

// Where documents are scored together none has a score of its own that could be kept.
// A key holds all that a logit depends on: the model and its arithmetic (the fingerprint), how texts are cut, both
// texts. A request that refuses to have texts cut is not looked up: a cached pair may have been.
void Service::look_up(Work& work) {
  const RerankRequest& request = *work.request;
  const bool use = !parts_.lists && (cache_.enabled() || parts_.shared_cache) && request.use_cache &&
                   request.truncate && !request.explain_cuts;
  if (use) {
    const text::FitSpec spec = fit_spec(request);
    const Hash128 common = FieldHasher()
                               .add(parts_.info.fingerprint)
                               .add(static_cast<uint64_t>(layers_of(request)))
                               .add(static_cast<uint64_t>(spec.max_length))
                               .add(static_cast<uint64_t>(spec.truncation))
                               .add(static_cast<uint64_t>(spec.chunking.overlap))
                               .add(static_cast<uint64_t>(spec.chunking.max_chunks))
                               .add(static_cast<uint64_t>(spec.chunking.best))
                               .add(static_cast<uint64_t>(request.max_query_tokens))
                               .add(static_cast<uint64_t>(request.max_document_tokens))
                               .add(work.query->hash.low)
                               .add(work.query->hash.high)
                               .add(parts_.texts->instruction_of(request.instruction))
                               .finish();
    for (const std::string& document : request.documents) {
      const Hash128 text = work.texts.emplace_back(keyed_hash(parts_.hash_key, document));
      work.keys.push_back(FieldHasher().add(common.low).add(common.high).add(text.low).add(text.high).finish());
    }
  }
  for (size_t i = 0; i < request.documents.size(); ++i) {
    auto found = use ? cache_.find(work.keys[i], work.begin) : std::nullopt;
    if (found) {
      work.documents[i] = {found->logit, found->tokens, found->truncated};
    } else {
      work.missing.push_back(i);
    }
  }
  if (!metrics_ || !use) return;
  metrics_->hits.add(static_cast<double>(request.documents.size() - work.missing.size()));
  metrics_->misses.add(static_cast<double>(work.missing.size()));
}

uint8_t Service::layers_of(const RerankRequest& request) const {
  return static_cast<uint8_t>(request.layers != 0 ? request.layers : parts_.layers);
}

text::FitSpec Service::fit_spec(const RerankRequest& request) const {
  text::FitSpec spec;
  spec.max_length = parts_.info.max_length;
  spec.strategy = parts_.texts->strategy();
  if (request.max_length > 0) spec.max_length = std::min(spec.max_length, request.max_length);
  spec.max_document_tokens = request.max_document_tokens;
  const bool left = request.truncation_side == TruncationSide::kLeft;
  spec.truncation = request.truncation.value_or(left ? Truncation::kTail : parts_.truncation);
  spec.chunking.overlap = request.chunk_overlap.value_or(parts_.chunking.overlap);
  spec.chunking.best = request.chunk_best.value_or(parts_.chunking.best);
  spec.chunking.max_chunks = parts_.chunking.max_chunks;
  if (request.max_chunks > 0) spec.chunking.max_chunks = std::min(spec.chunking.max_chunks, request.max_chunks);
  return spec;
}

void Service::tokenize_document(const Work& work, size_t document, std::vector<int32_t>& ids) {
  const RerankRequest& request = *work.request;
  const std::string& text = request.documents[document];
  if (!tokens_.enabled() || !request.use_cache) return parts_.texts->encode_document(text, ids);
  const Hash128 key = work.texts.empty() ? keyed_hash(parts_.hash_key, text) : work.texts[document];
  const bool known = tokens_.find(key, ids);
  if (metrics_) (known ? metrics_->token_hits : metrics_->token_misses).add();
  if (known) return;
  parts_.texts->encode_document(text, ids);
  tokens_.insert(key, ids);
}

void Service::prepare_query(Work& work) {
  const RerankRequest& request = *work.request;
  const auto make = [&] { return std::make_unique<const PreparedQuery>(request.query_text(), parts_.hash_key); };
  if (!request.shared_query) work.own_query = make();
  work.query = request.shared_query ? request.shared_query->prepared<std::unique_ptr<const PreparedQuery>>(make).get()
                                    : work.own_query.get();
}

Status Service::tokenize_query(const Work& work) const {
  const RerankRequest& request = *work.request;
  const text::FitSpec spec = fit_spec(request);
  return work.query->tokenize(*parts_.texts, {.query = request.query_text(),
                                              .instruction = request.instruction,
                                              // Of lists the text is cut, not its ids.
                                              .max_query_tokens = parts_.lists ? 0 : request.max_query_tokens,
                                              .max_length = spec.max_length,
                                              .truncation = spec.truncation});
}

// Of several errors the first is the request's.
void Service::fail_unit(Work& work, Status status) {
  std::call_once(work.failed, [&] { work.failure = std::move(status); });
}

void Service::tokenize_unit(const std::shared_ptr<Work>& work, size_t unit) {
  const RerankRequest& request = *work->request;
  const bool is_late = request.deadline && Clock::now() > *request.deadline;
  const bool cancelled = request.cancellation && request.cancellation->cancelled();
  Status status;
  if (is_late) status = late();
  if (!is_late && !cancelled) {
    status = guarded([&] {
      if (unit == 0) {
        if (Status bad = tokenize_query(*work); !bad.ok()) fail_unit(*work, std::move(bad));
      }
      for (size_t m = work->units[unit].first; m < work->units[unit].second; ++m) {
        const size_t i = work->missing[m];
        tokenize_document(*work, i, work->document_ids[i]);
      }
    });
  }
  if (!status.ok()) fail_unit(*work, std::move(status));
  if (work->units_left.fetch_sub(1) == 1) guard(work, [&] { join_and_schedule(work); });
}

// A text in a language that the model was not made for is scored, but its score means little: who asks should hear of
// it. Of cached documents nothing is known.
void Service::count_unknown(Work& work) {
  const auto unknown = parts_.texts->tokenizer().unknown_id();
  if (!unknown) return;
  size_t count = 0, all = 0;
  const auto look_at = [&](const std::vector<int32_t>& ids) {
    count += static_cast<size_t>(std::count(ids.begin(), ids.end(), *unknown));
    all += ids.size();
  };
  look_at(work.query->ids());
  for (size_t i : work.missing) look_at(work.document_ids[i]);
  if (metrics_) metrics_->unknown.add(static_cast<double>(count));
  if (count == 0 || count * kMostUnknown < all) return;
  work.warnings.push_back(str_cat(count * 100 / all, " % of the tokens are unknown to ", parts_.info.id,
                                  ": scores mean little where a model was not made for a text's language"));
  if (!told_unknown_.exchange(true)) log_warning(str_cat("of a request, ", work.warnings.back(), " (told once)"));
}

void Service::join_and_schedule(const std::shared_ptr<Work>& work) {
  const RerankRequest& request = *work->request;
  if (request.cancellation && request.cancellation->cancelled()) {
    return fail(work, absl::CancelledError("the client has gone"));
  }
  if (!work->failure.ok()) return fail(work, work->failure);
  if (request.deadline && Clock::now() > *request.deadline) return fail(work, late());
  const text::FitSpec spec = fit_spec(request);
  count_unknown(*work);
  if (parts_.lists) return schedule_lists(work);
  auto job = std::make_unique<schedule::Job>();
  const text::PairTemplate& pieces = parts_.texts->pieces();
  size_t tokens = 0;
  for (size_t i : work->missing)
    tokens += text::fitted_tokens(pieces, work->query->ids().size(), work->document_ids[i].size(), spec);
  if (tokens > parts_.planner.max_queued_tokens) {  // a long query may make them many: before memory is taken
    if (Status status = scheduler_->check(tokens, request.priority, request.deadline); !status.ok()) {
      return fail(work, std::move(status));
    }
  }
  for (size_t i : work->missing) {
    text::FittedDocument fitted = text::fit_document(pieces, work->query->terms(), work->document_ids[i], spec);
    if (fitted.too_long && !request.truncate) {
      const size_t given = work->query->ids().size() + work->document_ids[i].size() + pieces.added_to_pair();
      return fail(work, absl::OutOfRangeError(str_cat("`inputs` must have less than ", spec.max_length + 1,
                                                      " tokens. Given: ", given, " (document ", i, ")")));
    }
    ScoredDocument& d = work->documents[i];
    for (const text::EncodedPair& pair : fitted.pairs) {
      job->pairs.add(pair.ids, pair.type_ids);
      d.tokens += static_cast<uint32_t>(pair.ids.size());
    }
    work->sequences.push_back(static_cast<uint32_t>(fitted.pairs.size()));
    d.truncated = fitted.truncated || work->query->cut();
    d.document_tokens = static_cast<uint32_t>(work->document_ids[i].size());
    if (request.explain_cuts) d.kept = std::move(fitted.kept);
    work->document_ids[i] = {};
  }
  if (!parts_.segments) std::fill(job->pairs.segments.begin(), job->pairs.segments.end(), 0);
  compete(*work, *job);
  submit_job(work, std::move(job));
}

void Service::submit_job(const std::shared_ptr<Work>& work, std::unique_ptr<schedule::Job> job) {
  const RerankRequest& request = *work->request;
  work->timings.tokenize_us = micros_since(work->begin) - work->timings.cache_us;
  job->layers = layers_of(request);
  job->priority = request.priority;
  job->deadline = request.deadline;
  job->cancellation = request.cancellation;
  job->share = request.use_cache;  // a request that wants scores computed anew shares none
  job->done = [this, work](schedule::Job& done_job, Status status) {
    guard(work, [&] { finish(work, done_job, std::move(status)); });
  };
  scheduler_->submit(std::move(job));
}

// Blocks of documents, each a sequence.
void Service::schedule_lists(const std::shared_ptr<Work>& work) {
  const RerankRequest& request = *work->request;
  const text::FitSpec spec = fit_spec(request);
  const text::ListTexts texts = {.query = request.query_text(),
                                 .query_ids = work->query->ids(),
                                 .documents = request.documents,
                                 .document_ids = work->document_ids,
                                 .instruction = request.instruction,
                                 .max_length = spec.max_length,
                                 .max_query_tokens = request.max_query_tokens,
                                 .max_document_tokens = spec.max_document_tokens,
                                 .keep_end = spec.truncation == Truncation::kTail};
  const auto limits = parts_.lists->limits(texts);
  if (!limits.ok()) return fail(work, limits.status());
  size_t tokens = 0;
  const bool query_cut = work->query->cut() || work->query->ids().size() > limits->query;
  for (size_t i = 0; i < work->documents.size(); ++i) {
    ScoredDocument& d = work->documents[i];
    const size_t all = work->document_ids[i].size(), kept = std::min(all, limits->document);
    if (kept < all && !request.truncate) {
      return fail(work, absl::OutOfRangeError(str_cat("document ", i, " has ", all, " tokens; this model reads ",
                                                      limits->document, " of each")));
    }
    tokens += kept;
    d.truncated = query_cut || kept < all;
    d.document_tokens = static_cast<uint32_t>(all);
    const size_t first = texts.keep_end ? all - kept : 0;
    if (request.explain_cuts) d.kept = {{static_cast<uint32_t>(first), static_cast<uint32_t>(first + kept)}};
  }
  if (tokens > parts_.planner.max_queued_tokens) {  // before memory is taken
    if (Status status = scheduler_->check(tokens, request.priority, request.deadline); !status.ok()) {
      return fail(work, std::move(status));
    }
  }
  auto blocks = parts_.lists->blocks(texts);
  if (!blocks.ok()) return fail(work, blocks.status());
  auto job = std::make_unique<schedule::Job>();
  job->result_offsets.push_back(0);
  for (text::ListBlock& block : *blocks) {
    job->pairs.add(block.ids);
    job->result_offsets.push_back(job->result_offsets.back() +
                                  static_cast<uint32_t>((block.count + 1) * parts_.vector_width));
    for (size_t i = 0; i < block.count; ++i) work->documents[block.first + i].tokens = block.tokens[i];
    block.ids = {};
  }
  work->blocks = std::move(*blocks);
  for (std::vector<int32_t>& ids : work->document_ids) ids = {};
  submit_job(work, std::move(job));
}

void Service::finish_lists(const std::shared_ptr<Work>& work, schedule::Job& job) {
  const std::vector<float> scores = list_scores(work->blocks, job.logits, parts_.vector_width);
  for (size_t i = 0; i < scores.size(); ++i) work->documents[i].logit = scores[i];
  for (size_t b = 0; metrics_ && b < work->blocks.size(); ++b)
    metrics_->lengths.observe(static_cast<double>(job.pairs.length(b)));
}

// Adaptive depth: where only some of the documents are wanted, those that are surely not among them need not be
// computed to the end. Documents in several chunks are: their best chunk is not known before.
void Service::compete(const Work& work, schedule::Job& job) const {
  const RerankRequest& request = *work.request;
  if ((parts_.exit_margin <= 0 && parts_.exit_keep <= 0) || layers_of(request) != 0) return;
  if (request.top_n == 0 || request.top_n >= request.documents.size()) return;
  if (std::any_of(work.sequences.begin(), work.sequences.end(), [](uint32_t n) { return n != 1; })) return;
  const double stay = std::ceil(static_cast<double>(request.top_n) * parts_.exit_keep);
  if (stay >= static_cast<double>(job.pairs.size())) return;  // nobody would leave
  job.keep = static_cast<uint32_t>(request.top_n);
  job.margin = parts_.exit_margin;
  job.stay = static_cast<uint32_t>(stay);
  if (job.stay != 0) job.seen = std::make_shared<engine::SeenOutputs>();
  auto missing = work.missing.begin();
  for (size_t i = 0; i < work.documents.size(); ++i) {
    if (missing != work.missing.end() && *missing == i) {
      ++missing;
    } else {
      job.known.push_back(work.documents[i].logit);
    }
  }
}

void Service::finish(const std::shared_ptr<Work>& work, schedule::Job& job, Status status) {
  if (!status.ok()) return fail(work, std::move(status));
  if (parts_.lists) finish_lists(work, job);
  size_t evicted = 0;
  const TimePoint now = Clock::now();
  std::vector<std::pair<Hash128, cache::CachedScore>> found;
  const size_t best = fit_spec(*work->request).chunking.best;
  for (size_t m = 0, begin = 0; !parts_.lists && m < work->missing.size(); begin += work->sequences[m++]) {
    const size_t i = work->missing[m];
    ScoredDocument& d = work->documents[i];
    const auto logits = std::span(job.logits).subspan(begin, work->sequences[m]);
    d.logit = aggregate_chunks(logits, best);
    d.best_chunk = static_cast<uint32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    d.dropped = job.keep > 0 && job.depths[begin] != 0;
    if (!work->keys.empty() && std::isfinite(d.logit) && !d.dropped) {
      found.emplace_back(work->keys[i], cache::CachedScore{d.logit, d.tokens, d.truncated});
      evicted += cache_.insert(found.back().first, found.back().second, now);
    }
    if (metrics_) {
      metrics_->lengths.observe(d.tokens);
      const size_t depth = job.depths[begin];
      metrics_->layers.observe(static_cast<double>(depth != 0 ? depth : parts_.model_layers));
    }
  }
  if (parts_.shared_cache && !found.empty()) parts_.shared_cache->store(found);
  work->timings.queue_us = job.queue_us;
  work->timings.compute_us = job.compute_us;
  if (metrics_) {
    metrics_->evictions.add(static_cast<double>(evicted));
    if (metrics_->cache_bytes) metrics_->cache_bytes->set(static_cast<double>(cache_.bytes()));
    if (metrics_->token_bytes && tokens_.enabled()) metrics_->token_bytes->set(static_cast<double>(tokens_.bytes()));
  }
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
  const ScoreScale scale = parts_.lists ? ScoreScale::kLogit : work->request->scale;
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
  if (work->answered.exchange(true)) return log_error(str_cat("behind an answer: ", message_of(status)));
  const Status told = guarded([&] { work->done(std::move(status)); });
  if (!told.ok()) log_error(message_of(told));
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
