// N: NVIDIA NIM. {"query": {"text"}, "passages": [{"text"}, ...]} -> {"rankings": [{"index", "logit"}]}. Always logits:
// Dify and RAGFlow scale them themselves.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) {
  return body.has("passages") && body.first_element_kind("passages") != transport::Body::Kind::kText;
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("passages", limits.max_documents);
  call.request.scale = ScoreScale::kLogit;
  call.request.top_n = call.asked = body.positive("top_n");
  read_truncation(body, "truncate", call);
}

void write(const RerankCall&, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.key("rankings").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("logit", document.score);
    json.end_object();
  }
  json.end_array();
  write_usage(json, result.total_tokens);
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kNvidiaDialect = {"nvidia", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
