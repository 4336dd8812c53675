#include "cache/redis_url.h"

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::cache {
namespace {

Status wrong(std::string_view what) {
  return absl::InvalidArgumentError(
      str_cat("--cache-url: ", what, "; it looks like redis://[[user]:password@]host[:port][/database]"));
}

Result<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const std::string_view digits = text.substr(i + 1, 2);
    if (digits.size() < 2 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return wrong("a % in user or password must be written %25");
    }
    out += absl::HexStringToBytes({digits.data(), digits.size()});
    i += 2;
  }
  return out;
}

// Cuts `text` at the first `mark`; the part after it, or nothing.
std::string_view cut(std::string_view& text, char mark) {
  const size_t at = text.find(mark);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = text.substr(at + 1);
  text = text.substr(0, at);
  return rest;
}

}  // namespace

std::string RedisUrl::shown() const { return str_cat(host, ":", port, "/", database); }

Result<RedisUrl> parse_redis_url(std::string_view url) {
  const size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end);
  if (scheme_end == std::string_view::npos) return wrong("no scheme");
  if (scheme == "rediss" || scheme == "valkeys" || scheme == "unix") {
    return absl::UnimplementedError("--cache-url: only plain TCP is supported; put a TLS tunnel in between");
  }
  if (scheme != "redis" && scheme != "valkey") return wrong("the scheme is neither redis nor valkey");
  RedisUrl parsed;
  std::string_view rest = url.substr(scheme_end + 3);
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    std::string_view user = rest.substr(0, at);
    const std::string_view password = cut(user, ':');
    ASSIGN_OR_RETURN(parsed.user, percent_decoded(user));
    ASSIGN_OR_RETURN(parsed.password, percent_decoded(password));
    rest = rest.substr(at + 1);
  }
  const std::string_view database = cut(rest, '/');
  if (!database.empty() && !absl::SimpleAtoi({database.data(), database.size()}, &parsed.database)) {
    return wrong("the database is not a number");
  }
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {  // an IPv6 address
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong("no ] after the address");
    parsed.host = std::string(rest.substr(1, end - 1));
    port = rest.substr(end + 1);
    if (!port.empty() && port.front() != ':') return wrong("what follows the address is no port");
    if (!port.empty()) port = port.substr(1);
  } else {
    port = cut(rest, ':');
    parsed.host = std::string(rest);
  }
  if (parsed.host.empty()) return wrong("no host");
  uint32_t number = parsed.port;
  if (!port.empty() && (!absl::SimpleAtoi({port.data(), port.size()}, &number) || number == 0 || number > 65535)) {
    return wrong("the port is not a number from 1 to 65535");
  }
  parsed.port = static_cast<uint16_t>(number);
  return parsed;
}

}  // namespace rerank::cache
