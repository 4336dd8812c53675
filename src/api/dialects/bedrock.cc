// Amazon Bedrock's Rerank: {"queries": [{"textQuery": {"text"}}], "sources": [{"inlineDocumentSource": {"textDocument":
// {"text"}}}], "rerankingConfiguration"} -> {"results": [{"index", "relevanceScore"}]}.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("sources"); }

// A document that is no text is ranked as its JSON.
std::string text_of(transport::Body& body, const JsonField& source) {
  const JsonField document = source.at("inlineDocumentSource");
  if (const JsonField json = document.at("jsonDocument"); json.is_object()) return simdjson::minify(json.element());
  return read_string(body, document.at("textDocument").at("text"));
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  for (const JsonField& query : read_items(body, "queries", 1))
    call.request.query = read_string(body, query.at("textQuery").at("text"));
  for (const JsonField& source : read_items(body, "sources", limits.max_documents)) {
    if (!body.status().ok()) return;
    call.request.documents.push_back(text_of(body, source));
  }
  call.request.top_n = call.asked =
      body.positive("rerankingConfiguration.bedrockRerankingConfiguration.numberOfResults");
}

void write(const RerankCall&, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.key("results").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("relevanceScore", document.score);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kBedrockDialect = {"bedrock", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
