#include "api/dialect.h"

#include <random>
#include <string_view>

#include "absl/strings/str_format.h"
#include "base/strings.h"

namespace rerank::api {
namespace {

// The first that matches is taken: those with a sign of their own stand before those that would take their bodies, too.
constexpr const Dialect* kDialects[] = {
    &kTeiDialect,        &kWeaviateDialect,  &kPineconeDialect, &kVoyageDialect,      &kCommonDialect,
    &kNvidiaDialect,     &kQanythingDialect, &kBedrockDialect,  &kVertexDialect,      &kDashscopeDialect,
    &kMixedbreadDialect, &kTextPairsDialect, &kKserveDialect,   &kHuggingfaceDialect, &kPredictDialect,
};

}  // namespace

std::span<const Dialect* const> dialects() { return kDialects; }

const Dialect* find_dialect(const transport::Body& body, const transport::HttpRequest& request, AnswerForm common) {
  for (const Dialect* dialect : kDialects) {
    if (!dialect->matches(body, request)) continue;
    return dialect == &kCommonDialect && common == AnswerForm::kSglang ? &kSglangDialect : dialect;
  }
  return nullptr;
}

transport::ErrorShape guess_error_shape(std::string_view bytes) {
  for (const std::string_view sign : {"\"texts\"", "\"inputs\"", "\"property\""})
    if (bytes.find(sign) != std::string_view::npos) return transport::ErrorShape::kTei;
  return transport::ErrorShape::kCommon;
}

std::vector<JsonField> read_items(transport::Body& body, const char* name, size_t limit) {
  std::vector<JsonField> items;
  const JsonField field = body.at(name);
  if (!field.is_array()) {
    body.fail(transport::make_error(transport::ErrorKind::kInvalid, absl::StrFormat("`%s` must be an array", name)));
    return items;
  }
  const simdjson::dom::array array = field.element();
  size_t count = 0;
  for (auto item = array.begin(); item != array.end(); ++item) ++count;
  body.fail(transport::check_count(name, count, limit));
  if (!body.status().ok()) return items;
  items.reserve(count);
  for (const simdjson::dom::element item : array)
    items.emplace_back(item, absl::StrFormat("%s[%d]", name, items.size()));
  return items;
}

std::string read_string(transport::Body& body, const JsonField& field) {
  const Result<std::string_view> text = field.as_string();
  if (text.ok()) return std::string(*text);
  body.fail(text.status());
  return {};
}

std::vector<float> scores_in_input_order(const RerankResponse& result) {
  std::vector<float> scores(result.results.size());
  for (const RankedDocument& document : result.results) scores[document.index] = document.score;
  return scores;
}

void read_truncation(transport::Body& body, const char* name, RerankCall& call) {
  if (body.kind(name) != transport::Body::Kind::kText) {
    call.request.truncate = body.flag(name, call.request.truncate);
    return;
  }
  const std::string word = body.word(name);
  if (transport::same_word(word, "NONE") || transport::same_word(word, "false")) {
    call.request.truncate = false;
  } else if (transport::same_word(word, "START")) {
    call.request.truncation_side = TruncationSide::kLeft;
  } else if (!transport::same_word(word, "END") && !transport::same_word(word, "true")) {
    body.fail(transport::make_error(transport::ErrorKind::kInvalid,
                                    absl::StrFormat("`%s` must be true, false, \"NONE\", \"END\" or \"START\"", name)));
  }
}

void read_scale(transport::Body& body, const char* raw_scores, RerankCall& call) {
  if (body.has(raw_scores))
    call.request.scale = body.flag(raw_scores, false) ? ScoreScale::kLogit : ScoreScale::kSigmoid;
}

void read_side(transport::Body& body, const char* name, RerankCall& call) {
  const std::string word = body.word(name);
  if (transport::same_word(word, "left")) {
    call.request.truncation_side = TruncationSide::kLeft;
  } else if (!word.empty() && !transport::same_word(word, "right")) {
    body.fail(transport::make_error(transport::ErrorKind::kInvalid,
                                    absl::StrFormat("`%s` must be \"left\" or \"right\"", name)));
  }
}

void read_long_documents(transport::Body& body, RerankCall& call) {
  RerankRequest& request = call.request;
  if (const std::string word = body.word("truncation_strategy"); !word.empty()) {
    request.truncation = parse_choice<Truncation>(word);
    if (!request.truncation)
      body.fail(transport::make_error(
          transport::ErrorKind::kInvalid,
          "`truncation_strategy` must be \"head\", \"tail\", \"head-tail\", \"query-aware\" or \"chunks\""));
  }
  if (const std::string word = body.word("chunk_score"); !word.empty()) {
    if (const auto score = parse_chunk_score(word)) {
      request.chunk_best = score->best;
    } else {
      body.fail(transport::make_error(transport::ErrorKind::kInvalid,
                                      "`chunk_score` must be \"max\", \"mean\" or \"top2\", \"top3\", ..."));
    }
  }
  // Cohere's, Jina's and SiliconFlow's names. Many clients send them without being asked to (RAGFlow 1024 chunks a
  // document), so they say how chunks are made and not that they are.
  request.max_chunks = body.positive("max_chunks_per_doc");
  if (body.has("overlap_tokens")) request.chunk_overlap = body.positive("overlap_tokens");
  request.layers = body.positive("layers");
  request.explain_cuts = body.flag("return_truncation", false);
}

// Jina's, mixedbread's and Contextual's name, and DashScope's.
void read_instruction(transport::Body& body, RerankCall& call) {
  for (const char* name : {"instruction", "instruct"}) {
    std::string text = body.word(name);
    if (text.empty()) continue;
    if (text.size() > kMaxInstructionBytes) {
      body.fail(transport::make_error(transport::ErrorKind::kInvalid,
                                      str_cat("`", name, "` has ", text.size(), " bytes; ", kMaxInstructionBytes,
                                              " is the limit: it is said again with each pair")));
      return;
    }
    call.request.instruction = std::move(text);
  }
}

void write_cuts(JsonWriter& json, const RerankCall& call, const RankedDocument& document) {
  if (!call.request.explain_cuts) return;
  json.key("truncation").begin_object();
  json.field("truncated", document.truncated);
  json.field("document_tokens", uint64_t{document.document_tokens});
  json.key("kept").begin_array();
  for (const TokenRange& part : document.kept) {
    json.begin_array().value(uint64_t{part.begin}).value(uint64_t{part.end}).end_array();
  }
  json.end_array();
  json.field("best_chunk", uint64_t{document.best_chunk});
  json.end_object();
}

void write_usage(JsonWriter& json, uint64_t tokens) {
  json.key("usage").begin_object();
  json.field("prompt_tokens", tokens);
  json.field("total_tokens", tokens);
  json.end_object();
}

std::string new_id(const char* prefix) {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("%s-%016x%016x", prefix, random(), random());
}

}  // namespace rerank::api
