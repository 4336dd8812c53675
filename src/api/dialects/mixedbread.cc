// Mixedbread: {"query", "input", "top_k", "return_input"} -> {"data": [{"index", "score", "input"?}], ...}.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("input"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents =
      body.texts("input", limits.max_documents, body.joined_fields("rank_fields", limits.max_text_bytes));
  call.request.top_n = call.asked = body.positive("top_k");
  call.return_documents = body.flag("return_input", false);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.field("object", "list");
  json.field("model", model.id);
  json.key("data").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("score", document.score);
    if (call.return_documents) json.field("input", call.request.documents[document.index]);
    json.field("object", "rank_result");
    json.end_object();
  }
  json.end_array();
  json.field("top_k", uint64_t{call.asked ? call.asked : call.request.documents.size()});
  json.field("return_input", call.return_documents);
  write_usage(json, result.total_tokens);
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kMixedbreadDialect = {"mixedbread", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
