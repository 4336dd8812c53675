// vLLM's /score: scores of pairs, in input order.
#include <chrono>
#include <utility>

#include "api/dialect.h"
#include "api/exchange.h"
#include "api/handlers/score_pairs.h"
#include "transport/body.h"
#include "transport/errors.h"
#include "transport/urgency.h"

namespace rerank::api {
namespace {

// The names of the two sides; the first pair of which one is there is taken.
constexpr std::pair<const char*, const char*> kSides[] = {
    {"queries", "documents"}, {"queries", "items"}, {"data_1", "data_2"}, {"text_1", "text_2"}};

// One query for all texts, or one each.
PairTexts read_sides(transport::Body& body, size_t limit) {
  auto sides = kSides[3];
  for (const auto& names : kSides) {
    if (!body.has(names.first) || !body.has(names.second)) continue;
    sides = names;
    break;
  }
  PairTexts pairs{body.texts(sides.first, limit), body.texts(sides.second, limit)};
  if (!body.status().ok()) return {};
  if (pairs.queries.size() != 1 && pairs.queries.size() != pairs.documents.size()) {
    body.fail(transport::make_error(
        transport::ErrorKind::kInvalid,
        std::string("`") + sides.first + "` must hold one text, or as many as `" + sides.second + "`"));
    return {};
  }
  return pairs;
}

void score_answer(const PairScores& result, const ModelInfo& model, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.field("id", new_id("score"));
  json.field("object", "list");
  json.field("created", static_cast<int64_t>(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  json.field("model", model.id);
  json.key("data").begin_array();
  for (size_t i = 0; i < result.scores.size(); ++i) {
    json.begin_object();
    json.field("index", uint64_t{i});
    json.field("object", "score");
    json.field("score", result.scores[i]);
    json.end_object();
  }
  json.end_array();
  write_usage(json, result.whole.total_tokens);
  json.end_object();
  response.body = json.take();
}

// Scores `pairs` and finishes the exchange.
void run(Exchange&& exchange, RerankRequest settings, PairTexts pairs) {
  settings.cancellation = exchange.request.cancellation;
  settings.memory = exchange.request.memory;
  settings.priority += exchange.priority;
  settings.use_cache = !transport::wants_fresh_scores(exchange.request);
  exchange.request = {};
  exchange.note_parsed();
  Reranker& reranker = *exchange.model;
  auto shared = std::make_shared<Exchange>(std::move(exchange));
  score_pairs(reranker, settings, std::move(pairs), [shared](Result<PairScores> result) {
    if (!result.ok()) return shared->refuse(result.status());
    shared->note_ranked(result->whole);
    transport::HttpResponse response;
    write_server_timing(result->whole.timings, response);
    response.complete = [model = shared->model, scores = *std::move(result)](transport::HttpResponse& self) {
      score_answer(scores, model->info(), self);
    };
    shared->finish(std::move(response));
  });
}

}  // namespace

void handle_score(Exchange&& exchange) {
  Result<transport::Body> body = transport::Body::parse(exchange.request.body);
  if (!body.ok()) return exchange.refuse(body.status());
  RerankCall call;
  PairTexts pairs = read_sides(*body, exchange.state->options.max_documents);
  read_common_settings(*body, call);
  read_instruction(*body, call);
  transport::read_urgency(exchange.request, exchange.state->options.request_timeout, exchange.begin, *body,
                          call.request);
  if (!body->status().ok()) return exchange.refuse(body->status());
  if (Status chosen = exchange.choose(*body, pairs.queries.front()); !chosen.ok()) return exchange.refuse(chosen);
  run(std::move(exchange), std::move(call.request), std::move(pairs));
}

}  // namespace rerank::api
