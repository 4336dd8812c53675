// Voyage: as D, but with `top_k`, and the answer in `data` with documents as strings.
#include "api/dialect.h"

namespace rerank::api {
namespace {

// The Python client sends "top_k": null; no client of D sends that key.
bool matches(const transport::Body& body, const transport::HttpRequest&) {
  return body.has("documents") && body.has_key("top_k") && !body.has("top_n");
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("documents", limits.max_documents);
  call.request.top_n = call.asked = body.positive("top_k");
  read_truncation(body, "truncation", call);
  call.return_documents = body.flag("return_documents", false);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.field("object", "list");
  json.key("data").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("relevance_score", document.score);
    json.field("index", uint64_t{document.index});
    if (call.return_documents) json.field("document", call.request.documents[document.index]);
    json.end_object();
  }
  json.end_array();
  json.field("model", model.id);
  write_usage(json, result.total_tokens);
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kVoyageDialect = {"voyage", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
