#include <functional>
#include <string>
#include <utility>

#include "api/dialect.h"
#include "api/exchange.h"
#include "api/handlers/score_pairs.h"
#include "base/hash.h"
#include "transport/body.h"
#include "transport/errors.h"
#include "transport/urgency.h"

namespace rerank::api {
namespace {

// Why no dialect has this body, in the form that the path's clients read.
transport::HttpResponse refuse_body(const Exchange& exchange) {
  if (exchange.record.label == std::string_view("predict")) {
    return transport::error_response(transport::make_error(transport::ErrorKind::kInvalid,
                                                           "`inputs` is missing: a pair [query, text], or an array "
                                                           "of such pairs"),
                                     transport::ErrorShape::kTei);
  }
  return transport::error_response(transport::make_error(
      transport::ErrorKind::kInvalid,
      "the texts to rank are missing: send `query` with `texts` (TEI), `documents` (Cohere, Jina, vLLM), "
      "`passages` (NVIDIA) or `input` (Mixedbread), or `inputs` with pairs (Hugging Face)"));
}

transport::HttpResponse no_such_model_route() {
  return transport::error_response(
      transport::make_error(transport::ErrorKind::kNotFound,
                            "Not Found: under /models/NAME, POST takes pairs only: {\"inputs\": [{\"text\", "
                            "\"text_pair\"}]} (Hugging Face) or tensors `query` and `documents` (KServe v2). To rank, "
                            "POST /v1/rerank"),
      transport::ErrorShape::kTei);
}

// What a ranking and scored pairs have in common, from here on.
using Ranked = std::function<void(Result<RerankResponse>)>;

void rank(Reranker& reranker, const std::shared_ptr<RerankCall>& call, const Ranked& done) {
  reranker.submit(std::shared_ptr<const RerankRequest>(call, &call->request), done);
}

void score(Reranker& reranker, RerankCall& call, const Ranked& done) {
  PairTexts pairs{std::move(call.queries), std::move(call.request.documents)};
  call.request.documents.clear();
  score_pairs(reranker, call.request, std::move(pairs), [done](Result<PairScores> result) {
    if (!result.ok()) return done(result.status());
    RerankResponse whole = std::move(result->whole);
    whole.results.reserve(result->scores.size());
    for (size_t i = 0; i < result->scores.size(); ++i) {
      RankedDocument document;
      document.index = i;
      document.score = result->scores[i];
      whole.results.push_back(std::move(document));
    }
    done(std::move(whole));
  });
}

void answer(Exchange&& exchange, bool only_pairs) {
  Result<transport::Body> body = transport::Body::parse(exchange.request.body);
  if (!body.ok()) return exchange.refuse(body.status(), guess_error_shape(exchange.request.body));
  const ApiOptions& options = exchange.state->options;
  const Dialect* dialect = find_dialect(*body, exchange.request, options.answer_as);
  if (only_pairs && !(dialect && dialect->pairs)) return exchange.finish(no_such_model_route());
  if (!dialect) return exchange.finish(refuse_body(exchange));
  exchange.note_dialect(dialect->name);
  DialectLimits limits{options.max_documents, options.max_text_bytes, options.return_documents};
  // Dify's Ollama client, the only one on this path, wants `document` to be a string or absent.
  if (exchange.path.ends_with("/api/rerank")) limits.return_documents = false;
  auto call = std::make_shared<RerankCall>();
  dialect->read(*body, limits, *call);
  read_instruction(*body, *call);
  transport::read_urgency(exchange.request, exchange.state->options.request_timeout, exchange.begin, *body,
                          call->request);
  if (!body->status().ok()) return exchange.refuse(body->status(), dialect->errors);
  if (Status chosen = exchange.choose(*body, call->queries.empty() ? call->request.query : call->queries.front());
      !chosen.ok())
    return exchange.refuse(chosen, dialect->errors);
  call->request.cancellation = exchange.request.cancellation;
  call->request.memory = exchange.request.memory;
  call->request.priority += exchange.priority;
  call->request.use_cache = !transport::wants_fresh_scores(exchange.request);
  exchange.request = {};
  exchange.note_parsed();

  Reranker& reranker = *exchange.model;
  auto shared = std::make_shared<Exchange>(std::move(exchange));
  // The same from every replica and version, so that a gateway can keep a query on one of them, for its caches.
  std::string query_hash = dialect->pairs ? "" : hash128(call->request.query).hex().substr(0, 16);
  const Ranked done = [shared, call, dialect, query_hash = std::move(query_hash)](Result<RerankResponse> result) {
    if (!result.ok()) return shared->refuse(result.status(), dialect->errors);
    shared->note_ranked(*result);
    transport::HttpResponse response;
    write_server_timing(result->timings, response);
    if (!query_hash.empty()) response.headers.emplace_back("X-Rerankd-Query-Hash", query_hash);
    response.complete = [call, dialect, model = shared->model, result = *std::move(result)](
                            transport::HttpResponse& self) { dialect->write(*call, result, model->info(), self); };
    shared->finish(std::move(response));
  };
  dialect->pairs ? score(reranker, *call, done) : rank(reranker, call, done);
}

}  // namespace

void handle_rerank(Exchange&& exchange) { answer(std::move(exchange), false); }

void handle_model(Exchange&& exchange) { answer(std::move(exchange), true); }

}  // namespace rerank::api
