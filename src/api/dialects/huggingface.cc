// Hugging Face's text-classification on pairs (serverless inference, the toolkit on SageMaker, OpenSearch's tutorial):
// {"inputs": [{"text", "text_pair"}, ...], "parameters": {"function_to_apply"?, "top_k"?}} -> [{"label", "score"}, ...]
// in input order, each in a list of its own where top_k is sent; one object alone -> {"label", "score"}.
#include "absl/strings/str_format.h"
#include "api/dialect.h"

namespace rerank::api {
namespace {

// Also without `inputs`: {"text", "text_pair"}.
bool matches(const transport::Body& body, const transport::HttpRequest&) {
  using Kind = transport::Body::Kind;
  return body.kind("inputs") == Kind::kObject || body.first_element_kind("inputs") == Kind::kObject ||
         body.has("text_pair");
}

void read_pair(transport::Body& body, const JsonField& text, const JsonField& pair, RerankCall& call) {
  call.queries.push_back(read_string(body, text));
  call.request.documents.push_back(read_string(body, pair));
}

void read_function(transport::Body& body, RerankCall& call) {
  const std::string function = body.word("parameters.function_to_apply");
  if (function == "none") {
    call.request.scale = ScoreScale::kLogit;
  } else if (function == "sigmoid") {
    call.request.scale = ScoreScale::kSigmoid;
  } else if (!function.empty() && function != "default") {
    body.fail(transport::make_error(
        transport::ErrorKind::kInvalid,
        "`parameters.function_to_apply` must be \"sigmoid\" or \"none\": a reranker has one label"));
  }
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.single = body.kind("inputs") != transport::Body::Kind::kArray;
  if (call.single) {
    const char* at = body.has("inputs") ? "inputs." : "";
    read_pair(body, body.at(absl::StrFormat("%stext", at)), body.at(absl::StrFormat("%stext_pair", at)), call);
  } else {
    for (const JsonField& input : read_items(body, "inputs", limits.max_documents)) {
      if (!body.status().ok()) break;
      read_pair(body, input.at("text"), input.at("text_pair"), call);
    }
  }
  read_function(body, call);
  read_truncation(body, "parameters.truncation", call);
  call.nested = body.has_key("parameters.top_k") || body.flag("parameters.return_all_scores", false);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  JsonWriter json;
  if (!call.single) json.begin_array();
  for (const float score : scores_in_input_order(result)) {
    if (call.nested) json.begin_array();
    json.begin_object();
    json.field("label", model.label);
    json.field("score", score);
    json.end_object();
    if (call.nested) json.end_array();
  }
  if (!call.single) json.end_array();
  response.body = json.take();
}

}  // namespace

const Dialect kHuggingfaceDialect = {"huggingface", transport::ErrorShape::kTei, matches, read, write, true};

}  // namespace rerank::api
