// T: text-embeddings-inference. {"query", "texts"} -> [{"index", "score", "text"?}, ...]. Spoken by RAGFlow's
// HuggingFace provider, Dify's TEI plugin, LlamaIndex, Haystack, LiteLLM's huggingface/, FastGPT's AI Proxy, Continue,
// Cherry Studio.
#include <string>

#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("texts"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  // llama.cpp's way to ask for answers of this form: {"documents": [...], "texts": true}.
  const bool elsewhere = body.kind("texts") == transport::Body::Kind::kBool && body.has("documents");
  call.request.documents = body.texts(elsewhere ? "documents" : "texts", limits.max_documents);
  read_scale(body, "raw_scores", call);
  call.request.top_n = call.asked = body.positive("top_n");  // not TEI's own; LiteLLM and AI Proxy send it
  read_truncation(body, "truncate", call);
  read_side(body, "truncation_direction", call);
  read_long_documents(body, call);
  call.return_documents = body.flag("return_text", false);
}

TeiCost cost_of(const RerankCall& call, const RerankResponse& result) {
  TeiCost cost{call.request.documents.size(), 0, result.total_tokens};
  cost.characters = count_characters(call.request.query) * cost.texts;
  for (const std::string& text : call.request.documents) cost.characters += count_characters(text);
  return cost;
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    if (call.return_documents) json.field("text", call.request.documents[document.index]);
    json.field("score", document.score);
    write_cuts(json, call, document);
    json.end_object();
  }
  json.end_array();
  response.body = json.take();
  write_tei_timings(cost_of(call, result), result.timings, model, response);
}

}  // namespace

const Dialect kTeiDialect = {"tei", transport::ErrorShape::kTei, matches, read, write};

}  // namespace rerank::api
