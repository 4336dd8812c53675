#include "base/json/standard.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace rerank {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kSafeDigits = 18;  // of an integer that 64 bits hold
constexpr size_t kMostDigits = 400;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool begins_number(char c) { return c == '-' || (c >= '0' && c <= '9'); }

std::string quoted(std::string_view token) { return '"' + std::string(token) + '"'; }

std::string number(std::string_view token) {
  const std::string text(token);
  if (token.size() > kMostDigits || !std::isfinite(std::strtod(text.c_str(), nullptr)))
    return quoted(token.substr(0, kMostDigits));
  const bool integer = token.find_first_of(".eE") == std::string_view::npos;
  return integer && token.size() > kSafeDigits ? text + "e0" : text;
}

}  // namespace

std::string standard_json(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::string made;
  made.reserve(text.size() + 64);
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    if (text[at] == '"') {
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      end = std::min(end + 1, text.size());
      made += text.substr(at, end - at);
    } else if (is_letter(text[at]) || begins_number(text[at])) {
      const auto ends = [](char c) { return !is_letter(c) && !begins_number(c) && c != '+' && c != '.'; };
      end = static_cast<size_t>(std::find_if(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), ends) -
                                text.begin());
      const std::string_view token = text.substr(at, end - at);
      const bool word = token == "NaN" || token == "Infinity" || token == "-Infinity";
      made += word ? quoted(token) : begins_number(token[0]) ? number(token) : std::string(token);
    } else {
      made += text[at];
    }
    at = end;
  }
  return made;
}

}  // namespace rerank
