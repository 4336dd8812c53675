// Pinecone: D's request, told by the header that its clients send, -> {"model", "data": [{"index", "score",
// "document"?}], "usage": {"rerank_units"}}.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest& request) {
  return body.has("documents") && !request.header("x-pinecone-api-version").empty();
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents =
      body.texts("documents", limits.max_documents, body.joined_fields("rank_fields", limits.max_text_bytes));
  call.request.top_n = call.asked = body.positive("top_n");
  read_truncation(body, "parameters.truncate", call);
  call.return_documents = body.flag("return_documents", true);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.field("model", model.id);
  json.key("data").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("score", document.score);
    if (call.return_documents) {
      json.key("document").begin_object();
      json.field("text", call.request.documents[document.index]);
      json.end_object();
    }
    json.end_object();
  }
  json.end_array();
  json.key("usage").begin_object().field("rerank_units", uint64_t{1}).end_object();
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kPineconeDialect = {"pinecone", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
