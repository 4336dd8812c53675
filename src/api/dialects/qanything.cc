// QAnything: {"query", "passages": [string, ...]} -> [score, ...] in input order.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) {
  return body.first_element_kind("passages") == transport::Body::Kind::kText;
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("passages", limits.max_documents);
}

void write(const RerankCall&, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_array();
  for (const float score : scores_in_input_order(result)) json.value(score);
  json.end_array();
  response.body = json.take();
}

}  // namespace

const Dialect kQanythingDialect = {"qanything", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
