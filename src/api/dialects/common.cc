// D: what Cohere v1 and v2, Jina, vLLM, Xinference, Infinity, SiliconFlow, LocalAI and llama.cpp have in common.
// {"model", "query", "documents", "top_n"} -> {"id", "model", "results": [{"index", "relevance_score", "document"?}],
// "usage", "meta"}. The answer is a superset: each part is there because a client fails without it (docs/http-api.md).
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("documents"); }

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  RerankRequest& request = call.request;
  request.query = body.text("query");
  request.documents =
      body.texts("documents", limits.max_documents, body.joined_fields("rank_fields", limits.max_text_bytes));
  request.top_n = call.asked = body.positive("top_n");
  read_common_settings(body, call);
  call.return_documents = body.flag("return_documents", limits.return_documents);
}

// SGLang: a bare array with documents as strings. Its requests are D's.
void write_sglang(const RerankCall& call, const RerankResponse& result, const ModelInfo&,
                  transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("score", document.score);
    if (call.return_documents) json.field("document", call.request.documents[document.index]);
    json.field("index", uint64_t{document.index});
    json.end_object();
  }
  json.end_array();
  response.body = json.take();
}

void write_results(JsonWriter& json, const RerankCall& call, const RerankResponse& result) {
  json.key("results").begin_array();
  for (const RankedDocument& document : result.results) {
    json.begin_object();
    json.field("index", uint64_t{document.index});
    json.field("relevance_score", document.score);
    // An object or nothing: clients reject null and bare strings.
    if (call.return_documents) {
      json.key("document").begin_object();
      json.field("text", call.request.documents[document.index]);
      json.end_object();
    }
    write_cuts(json, call, document);
    json.end_object();
  }
  json.end_array();
}

// What each model of a cascade has said.
void write_stages(JsonWriter& json, const RerankResponse& result) {
  if (result.stages.empty()) return;
  json.key("stages").begin_array();
  for (const StageScores& stage : result.stages) {
    json.begin_object();
    json.field("model", stage.model);
    json.field("compute_us", stage.timings.compute_us);
    json.key("results").begin_array();
    for (const auto& [index, score] : stage.scores) {
      json.begin_object().field("index", uint64_t{index}).field("relevance_score", score).end_object();
    }
    json.end_array();
    json.end_object();
  }
  json.end_array();
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.field("id", new_id("rerank"));
  json.field("model", model.id);
  write_results(json, call, result);
  write_usage(json, result.total_tokens);
  json.key("meta").begin_object();
  json.key("api_version").begin_object().field("version", "2").end_object();
  json.key("billed_units").begin_object().field("search_units", uint64_t{1}).end_object();
  json.key("tokens").begin_object();
  json.field("input_tokens", result.total_tokens);
  json.field("output_tokens", uint64_t{0});
  json.end_object();
  if (result.truncated_documents > 0) json.field("truncated_documents", uint64_t{result.truncated_documents});
  if (!result.warnings.empty()) {
    json.key("warnings").begin_array();
    for (const std::string& warning : result.warnings) json.value(warning);
    json.end_array();
  }
  write_stages(json, result);
  json.end_object();
  json.end_object();
  response.body = json.take();
}

}  // namespace

void read_common_settings(transport::Body& body, RerankCall& call) {
  // Infinity's and vLLM's names for the same wish.
  read_scale(body, "raw_scores", call);
  if (body.has("use_activation")) {
    const bool logits = !body.flag("use_activation", true);
    if (logits || call.request.scale == ScoreScale::kAuto)
      call.request.scale = logits ? ScoreScale::kLogit : ScoreScale::kSigmoid;
  }
  read_truncation(body, "truncate", call);
  read_truncation(body, "truncation", call);  // Jina
  read_side(body, "truncation_side", call);   // vLLM, and the next three
  read_long_documents(body, call);
  call.request.max_length = body.positive("truncate_prompt_tokens");
  call.request.max_query_tokens = body.positive("max_tokens_per_query");
  call.request.max_document_tokens = body.positive("max_tokens_per_doc");  // also Cohere
}

const Dialect kCommonDialect = {"common", transport::ErrorShape::kCommon, matches, read, write};
const Dialect kSglangDialect = {"sglang", transport::ErrorShape::kCommon, matches, read, write_sglang};

}  // namespace rerank::api
