// QAnything: {"query", "passages": [string, ...]} -> [score, ...] in input order.
#include <vector>

#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body) {
  return body.first_element_kind("passages") == transport::Body::Kind::kText;
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("passages", limits.max_documents);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  std::vector<float> scores(call.request.documents.size());
  for (const RankedDocument& document : result.results) scores[document.index] = document.score;
  JsonWriter json;
  json.begin_array();
  for (const float score : scores) json.value(score);
  json.end_array();
  response.body = json.take();
}

}  // namespace

const Dialect kQanythingDialect = {"qanything", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
