// LangChain's SagemakerEndpointCrossEncoder: {"text_pairs": [[query, text], ...]} -> {"scores": [score, ...]}.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("text_pairs"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  for (auto& [query, text] : body.pairs("text_pairs", limits.max_documents, &call.single)) {
    call.queries.push_back(std::move(query));
    call.request.documents.push_back(std::move(text));
  }
}

void write(const RerankCall&, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.key("scores").begin_array();
  for (const float score : scores_in_input_order(result)) json.value(score);
  json.end_array();
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kTextPairsDialect = {"text_pairs", transport::ErrorShape::kTei, matches, read, write, true};

}  // namespace rerank::api
