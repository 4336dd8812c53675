// vLLM's /score and TEI's /predict: scores of pairs, in input order.
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

TeiCost cost_of(const PairTexts& pairs) {
  TeiCost cost{pairs.documents.size(), 0, 0};
  for (const auto* side : {&pairs.queries, &pairs.documents}) {
    for (const std::string& text : *side) cost.characters += count_characters(text);
  }
  return cost;
}

// One pair, or many.
void predict_answer(const PairScores& result, const ModelInfo& model, bool single, TeiCost cost,
                    transport::HttpResponse& response) {
  JsonWriter json;
  if (!single) json.begin_array();
  for (const float score : result.scores) {
    json.begin_array().begin_object();
    json.field("score", score);
    json.field("label", model.label);
    json.end_object().end_array();
  }
  if (!single) json.end_array();
  response.body = json.take();
  cost.tokens = result.whole.total_tokens;
  write_tei_timings(cost, result.whole.timings, model, response);
}

// Scores `pairs` and finishes the exchange with the answer that `answer` fills in.
template <class Answer>
void run(Exchange&& exchange, RerankRequest settings, PairTexts pairs, transport::ErrorShape errors, Answer answer) {
  settings.cancellation = exchange.request.cancellation;
  settings.priority += exchange.priority;
  settings.use_cache = !transport::wants_fresh_scores(exchange.request);
  exchange.request = {};
  exchange.note_parsed();
  Reranker& reranker = *exchange.model;
  auto shared = std::make_shared<Exchange>(std::move(exchange));
  score_pairs(reranker, settings, std::move(pairs), [shared, errors, answer](Result<PairScores> result) {
    if (!result.ok()) return shared->finish(transport::error_response(result.status(), errors));
    shared->note_ranked(result->whole);
    transport::HttpResponse response;
    write_server_timing(result->whole.timings, response);
    response.complete = [answer, model = shared->model, scores = *std::move(result)](transport::HttpResponse& self) {
      answer(scores, model->info(), self);
    };
    shared->finish(std::move(response));
  });
}

}  // namespace

void handle_score(Exchange&& exchange) {
  Result<transport::Body> body = transport::Body::parse(exchange.request.body);
  if (!body.ok()) return exchange.finish(transport::error_response(body.status()));
  RerankCall call;
  PairTexts pairs = read_sides(*body, exchange.state->options.max_documents);
  read_common_settings(*body, call);
  read_instruction(*body, call);
  transport::read_urgency(exchange.request, exchange.state->options.request_timeout, exchange.begin, *body,
                          call.request);
  if (!body->status().ok()) return exchange.finish(transport::error_response(body->status()));
  if (Status chosen = exchange.choose(*body, pairs.queries.front()); !chosen.ok())
    return exchange.finish(transport::error_response(chosen));
  run(std::move(exchange), std::move(call.request), std::move(pairs), transport::ErrorShape::kCommon, score_answer);
}

void handle_predict(Exchange&& exchange) {
  Result<transport::Body> body = transport::Body::parse(exchange.request.body);
  if (!body.ok()) return exchange.finish(transport::error_response(body.status(), transport::ErrorShape::kTei));
  RerankCall call;
  bool single = false;
  PairTexts pairs;
  for (auto& [query, text] : body->pairs("inputs", exchange.state->options.max_documents, &single)) {
    pairs.queries.push_back(std::move(query));
    pairs.documents.push_back(std::move(text));
  }
  call.request.scale = body->flag("raw_scores", false) ? ScoreScale::kLogit : ScoreScale::kSigmoid;
  read_truncation(*body, "truncate", call);
  read_side(*body, "truncation_direction", call);
  transport::read_urgency(exchange.request, exchange.state->options.request_timeout, exchange.begin, *body,
                          call.request);
  if (!body->status().ok())
    return exchange.finish(transport::error_response(body->status(), transport::ErrorShape::kTei));
  if (Status chosen = exchange.choose(*body, pairs.queries.front()); !chosen.ok())
    return exchange.finish(transport::error_response(chosen, transport::ErrorShape::kTei));
  const TeiCost cost = cost_of(pairs);
  run(std::move(exchange), std::move(call.request), std::move(pairs), transport::ErrorShape::kTei,
      [single, cost](const PairScores& result, const ModelInfo& model, transport::HttpResponse& response) {
        predict_answer(result, model, single, cost, response);
      });
}

}  // namespace rerank::api
