// DashScope (Alibaba Cloud Model Studio): {"model", "input": {"query", "documents"}, "parameters": {"top_n",
// "return_documents", "instruct"}} -> {"output": {"results": [{"index", "relevance_score", "document"?}]}, "usage":
// {"total_tokens"}, "request_id"}.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("input.documents"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("input.query");
  call.request.documents = body.texts("input.documents", limits.max_documents);
  call.request.top_n = call.asked = body.positive("parameters.top_n");
  call.return_documents = body.flag("parameters.return_documents", false);
  if (std::string text = body.word("parameters.instruct"); !text.empty()) call.request.instruction = std::move(text);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.key("output").begin_object();
  json.key("results").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("relevance_score", document.score);
    if (call.return_documents) {
      json.key("document").begin_object();
      json.field("text", call.request.documents[document.index]);
      json.end_object();
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
  write_usage(json, result.total_tokens);
  json.field("request_id", new_id("rerank"));
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kDashscopeDialect = {"dashscope", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
