#include "api/path.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "transport/body.h"

namespace rerank::api {
namespace {

// The character that "%72" stands for, where RFC 3986 2.3 makes no difference between the two.
std::optional<char> unreserved_escape(std::string_view text) {
  if (text.size() != 3 || text[0] != '%') return std::nullopt;
  unsigned value = 0;
  for (const char digit : text.substr(1)) {
    const auto c = static_cast<unsigned char>(digit);
    if (!absl::ascii_isxdigit(c)) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10);
  }
  const auto c = static_cast<unsigned char>(value);
  const bool unreserved = absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
  return unreserved ? std::optional<char>(static_cast<char>(c)) : std::nullopt;
}

bool ends_with_word(std::string_view path, std::string_view word) {
  return path.size() >= word.size() && transport::same_word(path.substr(path.size() - word.size()), word);
}

}  // namespace

std::string normalise_path(std::string_view target) {
  if (const size_t scheme = target.find("://"); scheme != std::string_view::npos && target[0] != '/') {
    const size_t path = target.find_first_of("/?#", scheme + 3);
    target = path == std::string_view::npos ? "" : target.substr(path);
  }
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  path.reserve(target.size());
  for (size_t i = 0; i < target.size(); ++i) {
    const auto escaped = unreserved_escape(target.substr(i, 3));
    const char c = escaped.value_or(target[i]);
    if (escaped) i += 2;
    if (c != '/' || path.empty() || path.back() != '/') path += c;
  }
  if (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

bool path_matches(std::string_view path, std::string_view pattern) {
  if (pattern == "/") return path.empty();
  if (pattern.ends_with("/*")) {
    pattern.remove_suffix(2);
    const std::string segment = "/" + std::string(pattern) + "/";
    const size_t at = path.find(segment);
    return at != std::string_view::npos && path.size() > at + segment.size();
  }
  if (!ends_with_word(path, pattern)) return false;
  path.remove_suffix(pattern.size());
  return path.empty() || path.back() == '/';
}

}  // namespace rerank::api
