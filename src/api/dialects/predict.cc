// TEI's /predict, on any path: {"inputs": [query, text] | [[query, text], ...]} -> [{"score", "label"}] | [[...], ...].
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("inputs"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  for (auto& [query, text] : body.pairs("inputs", limits.max_documents, &call.single)) {
    call.characters += count_characters(query) + count_characters(text);
    call.queries.push_back(std::move(query));
    call.request.documents.push_back(std::move(text));
  }
  read_scale(body, "raw_scores", call);
  read_truncation(body, "truncate", call);
  read_side(body, "truncation_direction", call);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  if (!call.single) json.begin_array();
  for (const float score : scores_in_input_order(result)) {
    json.begin_array().begin_object();
    json.field("score", score);
    json.field("label", model.label);
    json.end_object().end_array();
  }
  if (!call.single) json.end_array();
  response.body = json.take();
  write_tei_timings({result.results.size(), call.characters, result.total_tokens}, result.timings, model, response);
}

}  // namespace

const Dialect kPredictDialect = {"predict", transport::ErrorShape::kTei, matches, read, write, true};

}  // namespace rerank::api
