// rerank.v1: our own interface.
#include <algorithm>
#include <string>
#include <utility>

#include "api/dialect.h"
#include "api/handlers/score_pairs.h"
#include "base/status_macros.h"
#include "rerank/v1/rerank.pb.h"
#include "rpc/services/reactors.h"
#include "rpc/services/services.h"
#include "transport/urgency.h"

namespace rerank::rpc {
namespace {

Status read_truncation(v1::Truncation how, RerankRequest& request) {
  switch (how) {
    case v1::TRUNCATION_DEFAULT:
      return ok_status();
    case v1::TRUNCATION_HEAD:
      request.truncation = Truncation::kHead;
      return ok_status();
    case v1::TRUNCATION_TAIL:
      request.truncation = Truncation::kTail;
      return ok_status();
    case v1::TRUNCATION_HEAD_TAIL:
      request.truncation = Truncation::kHeadTail;
      return ok_status();
    case v1::TRUNCATION_QUERY_AWARE:
      request.truncation = Truncation::kQueryAware;
      return ok_status();
    case v1::TRUNCATION_CHUNKS:
      request.truncation = Truncation::kChunks;
      return ok_status();
    case v1::TRUNCATION_REFUSE:
      request.truncate = false;
      return ok_status();
    default:
      return transport::make_error(transport::ErrorKind::kInvalid,
                                   "`settings.truncation` is none that this server knows");
  }
}

// The call's own settings, then the message's.
Result<RerankRequest> read_request(RpcCall& call, const v1::Settings& settings) {
  Result<RerankRequest> request = call.request();
  if (!request.ok()) return request;
  RETURN_IF_ERROR(read_truncation(settings.truncation(), *request));
  if (!v1::ScoreScale_IsValid(settings.scale())) {
    return transport::make_error(transport::ErrorKind::kInvalid, "`settings.scale` is none that this server knows");
  }
  if (settings.scale() == v1::SCORE_SCALE_LOGIT) request->scale = ScoreScale::kLogit;
  if (settings.scale() == v1::SCORE_SCALE_SIGMOID) request->scale = ScoreScale::kSigmoid;
  request->max_length = settings.max_length();
  request->max_query_tokens = settings.max_query_tokens();
  request->max_document_tokens = settings.max_document_tokens();
  request->layers = settings.layers();
  request->max_chunks = settings.max_chunks();
  if (settings.has_chunk_overlap()) request->chunk_overlap = settings.chunk_overlap();
  if (settings.priority()) request->priority += transport::priority_behind(settings.priority());
  if (settings.no_cache()) request->use_cache = false;
  if (!settings.instruction().empty()) request->instruction = settings.instruction();
  return request;
}

void write_timings(const Timings& timings, v1::Timings& out) {
  out.set_total_us(static_cast<uint64_t>(timings.total_us));
  out.set_tokenize_us(static_cast<uint64_t>(timings.tokenize_us));
  out.set_queue_us(static_cast<uint64_t>(timings.queue_us));
  out.set_compute_us(static_cast<uint64_t>(timings.compute_us));
}

void write_document(const RankedDocument& document, v1::RankedDocument& out) {
  out.set_index(static_cast<uint32_t>(document.index));
  out.set_score(document.score);
  out.set_logit(document.logit);
  out.set_tokens(document.tokens);
  out.set_truncated(document.truncated);
}

void write_response(const RerankResponse& result, const ModelInfo& model, v1::RerankResponse& out) {
  out.set_id(api::new_id("rerank"));
  out.set_model(model.id);
  for (const RankedDocument& document : result.results) write_document(document, *out.add_results());
  out.set_total_tokens(result.total_tokens);
  out.set_truncated_documents(static_cast<uint32_t>(result.truncated_documents));
  out.set_cached_documents(static_cast<uint32_t>(result.cached_documents));
  write_timings(result.timings, *out.mutable_timings());
  for (const std::string& warning : result.warnings) out.add_warnings(warning);
}

void note(RpcCall& call, const RerankResponse& result, const Reranker& model) {
  call.note_ranked(result);
  call.note_model(model.info());
}

// Documents that come in parts. Each part is scored as a request of its own; the ranking is made of all.
class DocumentStream : public StreamReactor<v1::RerankStreamRequest> {
 public:
  using StreamReactor::StreamReactor;

 private:
  void on_message(std::shared_ptr<transport::MemoryHold> memory) override {
    const v1::RerankStreamRequest& message = in();
    if (message.has_start() != !settings_) {
      return fail(
          transport::make_error(transport::ErrorKind::kInvalid, "the first message, and no other, must carry `start`"));
    }
    if (!settings_) {
      query_memory_ = std::move(memory);
      return read_start(message.start());
    }
    const auto& documents = message.documents().documents();
    const size_t first = count_;
    count_ += static_cast<size_t>(documents.size());
    const size_t limit = call().core().options.max_documents;
    if (documents.empty())
      return fail(transport::make_error(transport::ErrorKind::kEmpty, "`documents` cannot be empty"));
    if (Status fits = transport::check_count("documents", count_, limit); !fits.ok()) return fail(fits);
    bytes_ += message.ByteSizeLong();
    if (bytes_ > call().core().max_message_bytes) return fail(too_much_text());
    if (first > 0) {  // the first part was admitted with the call
      if (Status admitted = call().admit(); !admitted.ok()) return fail(admitted);
    }
    if (settings_->instruction) {  // each part's request has it
      if (Status held = memory->add(settings_->instruction->size()); !held.ok()) return fail(held);
    }
    auto request = std::make_shared<RerankRequest>(*settings_);
    request->memory = memory;
    request->documents.assign(documents.begin(), documents.end());
    submit(std::move(request), first, std::move(memory));
  }

  void read_start(const v1::StreamStart& start) {
    Result<RerankRequest> request = read_request(call(), start.settings());
    if (!request.ok()) return fail(request.status());
    settings_ = *std::move(request);
    model_name_ = start.settings().model();
    settings_->shared_query = std::make_shared<SharedQuery>(start.query());
    bytes_ = start.query().size();
    top_n_ = start.top_n();
  }

  void submit(std::shared_ptr<const RerankRequest> request, size_t first,
              std::shared_ptr<transport::MemoryHold> memory) {
    if (!model_) {  // all parts are one model's
      auto chosen = call().choose(settings_->query_text(), model_name_);
      if (!chosen.ok()) return fail(chosen.status());
      model_ = *std::move(chosen);
    }
    begin_work();
    RpcCore& core = call().core();
    const uint32_t batch = batches_++;
    handle_guarded([this, memory = std::move(memory)](const Status& status) { end_work(1, status); },
                   [&](const RpcDone& done) {
                     model_->submit(request, [this, &core, first, batch, done](Result<RerankResponse> result) {
                       core.write(done, [this, first, batch, result = std::move(result)]() mutable {
                         if (result.ok()) take(first, batch, *result);
                         return result.status();
                       });
                     });
                   });
  }

  // Tells the scores of one part, in its order, and keeps them for the ranking.
  void take(size_t first, uint32_t batch, RerankResponse& result) {
    call().note_ranked(result);
    auto& documents = result.results;
    std::sort(documents.begin(), documents.end(),
              [](const RankedDocument& a, const RankedDocument& b) { return a.index < b.index; });
    v1::RerankStreamResponse message;
    message.mutable_scored()->set_batch(batch);
    for (RankedDocument& document : documents) {
      document.index += first;
      write_document(document, *message.mutable_scored()->add_documents());
    }
    const std::lock_guard lock(mutex());
    all_.results.insert(all_.results.end(), documents.begin(), documents.end());
    if (all_.warnings.empty()) all_.warnings = result.warnings;  // of the first part that has any
    all_.total_tokens += result.total_tokens;
    all_.truncated_documents += result.truncated_documents;
    all_.cached_documents += result.cached_documents;
    all_.timings.tokenize_us += result.timings.tokenize_us;
    all_.timings.compute_us += result.timings.compute_us;
    all_.timings.queue_us = std::max(all_.timings.queue_us, result.timings.queue_us);
    send(message);
  }

  void on_end() override {
    if (count_ == 0)
      return fail(transport::make_error(transport::ErrorKind::kEmpty, "the stream ended without `documents`"));
    std::sort(all_.results.begin(), all_.results.end(), ranks_before);
    if (top_n_ > 0 && top_n_ < all_.results.size()) all_.results.resize(top_n_);
    using std::chrono::duration_cast;
    all_.timings.total_us = duration_cast<std::chrono::microseconds>(Clock::now() - begin_).count();
    v1::RerankStreamResponse message;
    call().note_model(model_->info());
    write_response(all_, model_->info(), *message.mutable_ranking());
    send(message);
  }

  std::shared_ptr<transport::MemoryHold> query_memory_;
  std::optional<RerankRequest> settings_;  // and query, of all parts
  std::string model_name_;
  std::shared_ptr<Reranker> model_;  // once there is a part
  size_t top_n_ = 0;
  size_t count_ = 0;  // documents so far
  size_t bytes_ = 0;  // of the query and their messages
  uint32_t batches_ = 0;
  RerankResponse all_;  // guarded by mutex()
  TimePoint begin_ = Clock::now();
};

void rank(RpcCall& call, const v1::RerankRequest& in, v1::RerankResponse& out, const RpcDone& done) {
  RpcCore& core = call.core();
  const size_t count = static_cast<size_t>(in.documents_size());
  if (Status fits = transport::check_count("documents", count, core.options.max_documents); !fits.ok())
    return done(fits);
  Result<RerankRequest> read = read_request(call, in.settings());
  if (!read.ok()) return done(read.status());
  auto request = std::make_shared<RerankRequest>(*std::move(read));
  request->query = in.query();
  request->documents.assign(in.documents().begin(), in.documents().end());
  request->top_n = in.top_n();
  auto chosen = call.choose(request->query, in.settings().model());
  if (!chosen.ok()) return done(chosen.status());
  Reranker& reranker = **chosen;
  reranker.submit(request, [&call, &core, &in, &out, done, model = *std::move(chosen)](Result<RerankResponse> result) {
    if (result.ok()) note(call, *result, *model);
    core.write(done, [&in, &out, model, result = std::move(result)] {
      RETURN_IF_ERROR(result.status());
      write_response(*result, model->info(), out);
      if (in.return_documents()) {
        for (v1::RankedDocument& ranked : *out.mutable_results())
          ranked.set_document(in.documents(static_cast<int>(ranked.index())));
      }
      return ok_status();
    });
  });
}

void score(RpcCall& call, const v1::ScoreRequest& in, v1::ScoreResponse& out, const RpcDone& done) {
  RpcCore& core = call.core();
  const size_t count = static_cast<size_t>(in.pairs_size());
  if (Status fits = transport::check_count("pairs", count, core.options.max_documents); !fits.ok()) return done(fits);
  Result<RerankRequest> settings = read_request(call, in.settings());
  if (!settings.ok()) return done(settings.status());
  api::PairTexts pairs;
  for (const v1::Pair& pair : in.pairs()) {
    pairs.queries.push_back(pair.query());
    pairs.documents.push_back(pair.document());
  }
  auto chosen = call.choose(pairs.queries.empty() ? "" : pairs.queries.front(), in.settings().model());
  if (!chosen.ok()) return done(chosen.status());
  Reranker& reranker = **chosen;
  api::score_pairs(reranker, *settings, std::move(pairs),
                   [&call, &core, &out, done, model = *std::move(chosen)](Result<api::PairScores> result) {
                     if (result.ok()) note(call, result->whole, *model);
                     core.write(done, [&out, model, result = std::move(result)] {
                       RETURN_IF_ERROR(result.status());
                       out.set_model(model->info().id);
                       out.mutable_scores()->Add(result->scores.begin(), result->scores.end());
                       out.set_total_tokens(result->whole.total_tokens);
                       write_timings(result->whole.timings, *out.mutable_timings());
                       return ok_status();
                     });
                   });
}

void describe(RpcCall& call, const v1::InfoRequest&, v1::InfoResponse& out, const RpcDone& done) {
  const auto chosen = call.choose("", {}, /*wait=*/false);
  if (!chosen.ok()) return done(chosen.status());
  const ModelInfo& model = (*chosen)->info();
  out.set_model(model.id);
  out.set_version(RERANKD_VERSION);
  out.set_architecture(model.architecture);
  out.set_fingerprint(model.fingerprint);
  out.set_engine(model.engine);
  out.set_precision(model.precision);
  out.set_kernel(model.kernel);
  out.set_threads(static_cast<uint32_t>(model.threads));
  out.set_max_length(static_cast<uint32_t>(model.max_length));
  out.set_max_documents(static_cast<uint32_t>(call.core().options.max_documents));
  out.set_parameters(model.parameters);
  done(ok_status());
}

}  // namespace

std::vector<Method> rerank_methods() {
  return {{"rerank.v1.Reranker/Rerank", unary<v1::RerankRequest, v1::RerankResponse>(rank)},
          {"rerank.v1.Reranker/RerankStream", stream<DocumentStream>()},
          {"rerank.v1.Reranker/Score", unary<v1::ScoreRequest, v1::ScoreResponse>(score)},
          {"rerank.v1.Reranker/Info", unary<v1::InfoRequest, v1::InfoResponse>(describe)}};
}

}  // namespace rerank::rpc
