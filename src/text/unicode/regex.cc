#include "text/unicode/regex.h"

#include <atomic>

#include "base/log.h"
#include "base/status_macros.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/strings.h"
#include "text/unicode/oniguruma.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

// Memory of one thread's matching, made at its first match.
struct Matcher {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 8 << 20, nullptr);

  Matcher() { pcre2_jit_stack_assign(context, nullptr, stack); }
  ~Matcher() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
};

// The rest of such a text stays in one piece, unlike in transformers.
void tell_once(int code, size_t bytes) {
  static std::atomic<bool> reported{false};
  if (reported.exchange(true)) return;
  PCRE2_UCHAR message[160];
  pcre2_get_error_message(code, message, std::size(message));
  log_warning(str_cat("a regular expression of the tokenizer gives up on a text of ", bytes,
                      " bytes: ", reinterpret_cast<char*>(message),
                      "; it does not split the rest, so that scores may differ from transformers'. Logged once"));
}

}  // namespace

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  bool moves_begin = false;  // \K: a match may begin later than the pattern does
  ~Compiled() { pcre2_code_free(code); }
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::parse(const JsonField& json) {
  const JsonField literal = json.at("String");
  const JsonField expression = json.at("Regex");
  if (literal.missing() && expression.missing()) return json.expected("an object with \"String\" or \"Regex\"");
  Pattern pattern;
  std::string_view source = "";
  if (!literal.missing()) {
    ASSIGN_OR_RETURN(pattern.literal_, literal.as_string());
    if (!pattern.literal_.empty()) return pattern;
  } else {
    ASSIGN_OR_RETURN(source, expression.as_string());
  }
  const Result<std::string> translated = pcre2_syntax(source);
  if (!translated.ok()) return expression.unsupported(std::string(translated.status().message()));
  source = *translated;
  auto compiled = std::make_unique<Compiled>();
  int code = 0;
  size_t offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &code, &offset, nullptr);
  if (compiled->code == nullptr) {
    PCRE2_UCHAR message[160];
    pcre2_get_error_message(code, message, std::size(message));
    return expression.error(str_cat("bad regular expression at byte ", offset, ": ", reinterpret_cast<char*>(message)));
  }
  compiled->moves_begin = source.find("\\K") != std::string_view::npos;
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);  // without it, matching is interpreted
  pattern.compiled_ = std::move(compiled);
  return pattern;
}

void Pattern::for_each_match(std::string_view text, const std::function<void(size_t, size_t)>& visit) const {
  if (!compiled_) return for_each_literal(text, visit);
  thread_local Matcher matcher;
  std::string storage;
  text = pcre2_text(text, storage);
  size_t from = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    const int count = pcre2_match(compiled_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                  PCRE2_NO_UTF_CHECK, matcher.data, matcher.context);
    if (count < 0) {  // no match, or one that would take more stack or steps than is sane
      if (count != PCRE2_ERROR_NOMATCH) tell_once(count, text.size());
      return;
    }
    const size_t* span = pcre2_get_ovector_pointer(matcher.data);
    const size_t begin = span[0], end = span[1];
    if (begin == end && end == last_end) {
      from += from < text.size() ? utf8_length(static_cast<unsigned char>(text[from])) : 1;
      continue;
    }
    visit(begin, end);
    from = last_end = end;
  }
}

size_t Pattern::least_match() const {
  if (!compiled_) return literal_.size();
  uint32_t characters = 0;
  if (compiled_->moves_begin || pcre2_pattern_info(compiled_->code, PCRE2_INFO_MINLENGTH, &characters) != 0) return 0;
  return characters;
}

void Pattern::for_each_literal(std::string_view text, const std::function<void(size_t, size_t)>& visit) const {
  for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size())) {
    visit(at, at + literal_.size());
  }
}

}  // namespace rerank::text
