#include "text/unicode/oniguruma.h"

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

// \w: letters, marks, decimal and letter numbers, connectors and circled letters; of Latin-1 also its No.
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\xB2\xB3\xB9\xBC-\xBE\x{24B6}-\x{24E9})"
                                   R"(\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  Result<std::string> run() {
    while (at_ < in_.size()) {
      if (in_[at_] == '\\') {
        RETURN_IF_ERROR(escape());
      } else if (in_set_) {
        RETURN_IF_ERROR(set_char());
      } else {
        plain_char();
      }
    }
    return std::move(out_);
  }

 private:
  Status escape() {
    first_in_set_ = false;
    const char kind = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    const std::string_view set = kind == 'w' || kind == 'W' ? kWord : kind == 'h' || kind == 'H' ? kHexDigit : "";
    if (!set.empty()) {
      const bool negated = kind == 'W' || kind == 'H';
      if (negated && in_set_)
        return absl::UnimplementedError(str_cat("\\", std::string(1, kind), " inside a set is not supported"));
      out_ += in_set_ ? std::string(set) : str_cat(negated ? "[^" : "[", set, "]");
      at_ += 2;
      return ok_status();
    }
    if (kind == 'u' && at_ + 6 <= in_.size()) {  // \uHHHH
      out_ += str_cat("\\x{", in_.substr(at_ + 2, 4), "}");
      at_ += 6;
      return ok_status();
    }
    out_ += in_.substr(at_, 2);
    at_ += 2;
    return ok_status();
  }

  Status set_char() {
    const std::string_view rest = in_.substr(at_);
    if (rest.starts_with("[:")) {
      const size_t end = rest.find(":]");
      const size_t length = end == std::string_view::npos ? 1 : end + 2;
      out_ += rest.substr(0, length);
      at_ += length;
      return ok_status();
    }
    if (rest[0] == '[') return absl::UnimplementedError("a set inside a set is not supported");
    if (rest.starts_with("&&")) return absl::UnimplementedError("an intersection of sets is not supported");
    if (rest[0] == ']' && !first_in_set_) in_set_ = false;
    first_in_set_ = first_in_set_ && rest[0] == '^';
    out_ += rest[0];
    ++at_;
    return ok_status();
  }

  void plain_char() {
    const std::string_view rest = in_.substr(at_);
    if (rest[0] == '[') {
      in_set_ = true;
      first_in_set_ = true;
    } else if (rest.starts_with("{,")) {  // {,3} is {0,3}
      out_ += "{0";
      ++at_;
      return;
    } else if (rest.starts_with("(?")) {  // flags: Ruby's m lets the dot match line ends, as s does elsewhere
      size_t end = 2;
      while (end < rest.size() && (rest[end] == 'i' || rest[end] == 'm' || rest[end] == 'x' || rest[end] == '-')) ++end;
      if (end < rest.size() && (rest[end] == ':' || rest[end] == ')')) {
        for (char c : rest.substr(0, end)) out_ += c == 'm' ? 's' : c;
        at_ += end;
        return;
      }
    }
    out_ += rest[0];
    ++at_;
  }

  std::string_view in_;
  std::string out_;
  size_t at_ = 0;
  bool in_set_ = false, first_in_set_ = false;
};

}  // namespace

Result<std::string> pcre2_syntax(std::string_view pattern) { return Translator(pattern).run(); }

std::string_view pcre2_text(std::string_view text, std::string& storage) {
  bool copied = false;
  const char* const end = text.data() + text.size();
  for (const char* p = text.data() + ascii_prefix(text); p < end;) {
    if (static_cast<unsigned char>(*p) < 0x80) {
      ++p;
      continue;
    }
    const size_t at = p - text.data();
    const char32_t c = next_char(p);
    if (!has_property(c, kCharHasProxy)) continue;
    if (!copied) storage = text;
    copied = true;
    write_utf8(storage.data() + at, regex_proxy(c));
  }
  return copied ? std::string_view(storage) : text;
}

}  // namespace rerank::text
