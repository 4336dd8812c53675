// QAnything: {"query", "passages": [string, ...]} -> [score, ...] in input order.
#include <vector>

#include "api/dialect.h"

namespace rerank {
namespace {

bool matches(const Body& body) { return body.first_element_kind("passages") == Body::Kind::kText; }

void read(Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("passages", limits.max_documents);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo&, HttpResponse& response) {
  std::vector<float> scores(call.request.documents.size());
  for (const RankedDocument& document : result.results) scores[document.index] = document.score;
  JsonWriter json;
  json.begin_array();
  for (const float score : scores) json.value(score);
  json.end_array();
  response.body = json.take();
}

}  // namespace

const Dialect kQanythingDialect = {"qanything", ErrorShape::kCommon, matches, read, write};

}  // namespace rerank
