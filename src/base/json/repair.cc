#include "base/json/repair.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "absl/strings/ascii.h"
#include "simdjson.h"

namespace rerank {
namespace {

// Length of the UTF-8 character that starts at `text`; 0 if none does, and then `*bad` bytes belong to the broken one.
size_t character_length(std::string_view text, size_t* bad) {
  const auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const unsigned lead = byte(0);
  *bad = 1;
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  // The second byte's range is what rules out overlong forms, surrogates and values above U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    *bad = i;
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// The value of \uXXXX at the start of `text`, or nullopt.
std::optional<unsigned> unicode_escape(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  unsigned value = 0;
  for (const char digit : text.substr(2, 4)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit))) return std::nullopt;
    const auto lower = static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(digit)));
    value = value * 16 + static_cast<unsigned>(lower <= '9' ? lower - '0' : lower - 'a' + 10);
  }
  return value;
}

// A number as JSON writes it, or near to that, in a form that a parser of 64 bits takes.
std::string fitting(std::string_view token) {
  constexpr size_t kSafeDigits = 18, kMostDigits = 310;
  std::string text(token);
  const bool integer = token.find_first_of(".eE") == std::string_view::npos;
  if (!integer && token.size() > kMostDigits) return text;  // nobody writes that; and reading it takes time
  if (token.size() > kMostDigits || !std::isfinite(std::strtod(text.c_str(), nullptr)))
    return token[0] == '-' ? "-1.7976931348623157e308" : "1.7976931348623157e308";
  return integer && token.size() > kSafeDigits ? text + "e0" : text;
}

}  // namespace

std::string repair_numbers(std::string_view json) {
  std::string repaired;
  repaired.reserve(json.size() + json.size() / 8 + simdjson::SIMDJSON_PADDING);
  for (size_t at = 0; at < json.size();) {
    size_t end = at + 1;
    if (json[at] == '"') {
      while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, json.size());
      repaired += json.substr(at, end - at);
    } else if (json[at] == '-' || absl::ascii_isdigit(static_cast<unsigned char>(json[at]))) {
      end = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
      repaired += fitting(json.substr(at, end - at));
    } else {
      repaired += json[at];
    }
    at = end;
  }
  return repaired;
}

std::string repair_text(std::string_view text, bool escapes) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string repaired;
  repaired.reserve(text.size() + text.size() / 8 + simdjson::SIMDJSON_PADDING);
  while (!text.empty()) {
    size_t taken = 1;
    if (escapes && text[0] == '\\') {
      const auto escape = unicode_escape(text);
      const bool high = escape && *escape >= 0xD800 && *escape < 0xDC00;
      const bool low = escape && *escape >= 0xDC00 && *escape < 0xE000;
      const auto second = high ? unicode_escape(text.substr(6)) : std::nullopt;
      const bool pair = second && *second >= 0xDC00 && *second < 0xE000;
      taken = std::min(text.size(), pair ? size_t{12} : escape ? size_t{6} : size_t{2});
      // Only the backslash of a broken escape is taken when what follows is not ASCII: it may be half a character.
      if (taken == 2 && static_cast<unsigned char>(text[1]) >= 0x80) taken = 1;
      repaired += (high && !pair) || low ? kReplacement : text.substr(0, taken);
    } else {
      size_t bad = 0;
      const size_t length = character_length(text, &bad);
      taken = length ? length : std::min(bad, text.size());
      repaired += length ? text.substr(0, taken) : kReplacement;
    }
    text.remove_prefix(taken);
  }
  return repaired;
}

}  // namespace rerank
