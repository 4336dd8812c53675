#include "api/dialect.h"

#include <random>
#include <string_view>

#include "absl/strings/str_format.h"

namespace rerank {
namespace {

// The first that matches is taken.
constexpr const Dialect* kDialects[] = {
    &kTeiDialect, &kVoyageDialect, &kCommonDialect, &kNvidiaDialect, &kQanythingDialect, &kMixedbreadDialect,
};

}  // namespace

const Dialect* find_dialect(const Body& body) {
  for (const Dialect* dialect : kDialects) {
    if (dialect->matches(body)) return dialect;
  }
  return nullptr;
}

ErrorShape guess_error_shape(std::string_view bytes) {
  return bytes.find("\"texts\"") != std::string_view::npos ? ErrorShape::kTei : ErrorShape::kCommon;
}

void read_truncation(Body& body, const char* name, RerankCall& call) {
  if (body.kind(name) != Body::Kind::kText) {
    call.request.truncate = body.flag(name, call.request.truncate);
    return;
  }
  const std::string word = body.word(name);
  if (same_word(word, "NONE") || same_word(word, "false")) {
    call.request.truncate = false;
  } else if (same_word(word, "START")) {
    call.request.truncation_side = TruncationSide::kLeft;
  } else if (!same_word(word, "END") && !same_word(word, "true")) {
    body.fail(make_error(ErrorKind::kInvalid,
                         absl::StrFormat("`%s` must be true, false, \"NONE\", \"END\" or \"START\"", name)));
  }
}

void read_side(Body& body, const char* name, RerankCall& call) {
  const std::string word = body.word(name);
  if (same_word(word, "left")) {
    call.request.truncation_side = TruncationSide::kLeft;
  } else if (!word.empty() && !same_word(word, "right")) {
    body.fail(make_error(ErrorKind::kInvalid, absl::StrFormat("`%s` must be \"left\" or \"right\"", name)));
  }
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

}  // namespace rerank
