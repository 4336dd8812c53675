// T: text-embeddings-inference. {"query", "texts"} -> [{"index", "score", "text"?}, ...]. Spoken by RAGFlow's
// HuggingFace provider, Dify's TEI plugin, LlamaIndex, Haystack, LiteLLM's huggingface/, FastGPT's AI Proxy, Continue,
// Cherry Studio.
#include <string>

#include "api/dialect.h"

namespace rerank {
namespace {

bool matches(const Body& body) { return body.has("texts"); }

void read(Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  call.request.documents = body.texts("texts", limits.max_documents);
  call.request.scale = body.flag("raw_scores", false) ? ScoreScale::kLogit : ScoreScale::kSigmoid;
  call.request.top_n = call.asked = body.positive("top_n");  // not TEI's own; LiteLLM and AI Proxy send it
  read_truncation(body, "truncate", call);
  read_side(body, "truncation_direction", call);
  read_long_documents(body, call);
  call.return_documents = body.flag("return_text", false);
}

size_t count_characters(std::string_view utf8) {
  size_t count = 0;
  for (const char byte : utf8) count += (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
  return count;
}

// TEI's timing headers: milliseconds, the last three as means per text.
void write_timings(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
                   HttpResponse& response) {
  const size_t texts = call.request.documents.size();
  size_t characters = count_characters(call.request.query) * texts;
  for (const std::string& text : call.request.documents) characters += count_characters(text);
  const Timings& timings = result.timings;
  const auto add = [&](const char* name, int64_t value) { response.headers.emplace_back(name, std::to_string(value)); };
  const auto mean_ms = [&](int64_t us) { return us / 1000 / static_cast<int64_t>(texts); };
  response.headers.emplace_back("x-compute-type", model.engine);
  add("x-compute-time", timings.total_us / 1000);
  add("x-compute-characters", static_cast<int64_t>(characters));
  add("x-compute-tokens", static_cast<int64_t>(result.total_tokens));
  add("x-total-time", timings.total_us / 1000);
  add("x-tokenization-time", mean_ms(timings.tokenize_us));
  add("x-queue-time", mean_ms(timings.queue_us));
  add("x-inference-time", mean_ms(timings.compute_us));
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model, HttpResponse& response) {
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
  write_timings(call, result, model, response);
}

}  // namespace

const Dialect kTeiDialect = {"tei", ErrorShape::kTei, matches, read, write};

}  // namespace rerank
