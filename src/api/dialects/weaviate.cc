// Weaviate's reranker-transformers: {"query", "documents": [string, ...], "property"} -> {"query", "scores":
// [{"document", "score"}], "property", "score"}, in input order, as its module reads them by place; without `documents`
// the one text is `property`. An error is {"error": string}.
#include <cstdint>

#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has_key("property"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.single = !body.has("documents");
  call.request.documents = body.texts(call.single ? "property" : "documents", limits.max_documents);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  const std::vector<float> scores = scores_in_input_order(result);
  JsonWriter json;
  json.begin_object();
  json.field("query", call.request.query);
  if (call.single) {
    json.field("property", call.request.documents.front());
    json.field("score", scores.front());
  } else {
    json.key("scores").begin_array();
    for (size_t i = 0; i < scores.size(); ++i) {
      json.begin_object();
      json.field("document", call.request.documents[i]);
      json.field("score", scores[i]);
      json.end_object();
    }
    json.end_array();
    json.key("property").null();
    json.key("score").null();
  }
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kWeaviateDialect = {"weaviate", transport::ErrorShape::kTei, matches, read, write};

}  // namespace rerank::api
