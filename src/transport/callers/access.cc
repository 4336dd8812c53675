#include "transport/callers/access.h"

#include <algorithm>

#include "transport/body.h"
#include "transport/errors.h"

namespace rerank::transport {
namespace {

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (const std::string_view item = trim(list.substr(0, comma)); !item.empty()) items.emplace_back(item);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return items;
}

// The host of an origin or a Host header: without scheme and port.
std::string_view host_of(std::string_view text) {
  if (const size_t scheme = text.find("://"); scheme != std::string_view::npos) text.remove_prefix(scheme + 3);
  if (text.starts_with('[')) return text.substr(0, text.find(']') + 1);
  return text.substr(0, text.find(':'));
}

// Names that nobody can make to mean another machine.
bool is_fixed(std::string_view host) {
  constexpr std::string_view kLocal = "localhost", kBelow = ".localhost";
  if (host.starts_with('[') || same_word(host, kLocal)) return true;
  if (host.size() > kBelow.size() && same_word(host.substr(host.size() - kBelow.size()), kBelow)) return true;
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// The key in an Authorization header's value.
std::string_view key_in(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  const std::string_view credentials = trim(authorization);
  const char after = credentials.size() > kScheme.size() ? credentials[kScheme.size()] : '\0';
  const bool bearer = (after == ' ' || after == '\t') && same_word(credentials.substr(0, kScheme.size()), kScheme);
  return bearer ? trim(credentials.substr(kScheme.size())) : credentials;
}

}  // namespace

Access::Access(std::shared_ptr<KeyRing> keys, std::string_view origins, bool local)
    : keys_(std::move(keys)), origins_(split(origins)), local_(local) {}

Status Access::check_page(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin"), site = request.header("sec-fetch-site");
  const std::string_view host = request.header("host");
  const bool page = origin == "null" || origin.starts_with("http://") || origin.starts_with("https://");
  if (!page && site.empty()) return ok_status();  // no browser, or an extension, which its user has let do this
  const auto listed = [&](auto same) { return std::any_of(origins_.begin(), origins_.end(), same); };
  if (listed([&](const std::string& allowed) { return allowed == "*" || (page && allowed == origin); })) {
    return ok_status();
  }
  // Where the browser says how the two are related it knows better: a proxy may have changed the Host.
  const bool own = site.empty() ? origin != "null" && same_word(origin.substr(origin.find("//") + 2), host)
                                : site == "same-origin" || site == "none";
  const bool named = is_fixed(host_of(host)) ||
                     listed([&](const std::string& allowed) { return same_word(host_of(allowed), host_of(host)); });
  if (own && (named || !local_ || needs_key())) return ok_status();
  return make_error(ErrorKind::kForbidden,
                    "a web page of another site may not call this server: name its origin in --cors-origin");
}

Result<KeyRule> Access::admit(std::string_view authorization, const std::string& peer) const {
  if (keys_->empty()) return KeyRule{};
  const std::string_view credentials = key_in(authorization);
  const bool guess = !peer.empty() && !credentials.empty();
  if (guess && guesses_->refuses(peer, credentials)) {
    return make_error(ErrorKind::kRateLimited, "too many wrong keys from this address; try again");
  }
  Result<KeyRule> caller = keys_->admit(credentials);
  if (guess && caller.ok()) guesses_->was_right(peer, credentials);
  if (absl::IsUnauthenticated(caller.status())) {
    if (guess) guesses_->was_wrong(peer);
    return make_error(ErrorKind::kUnauthorized,
                      "a valid API key is required: send it as \"Authorization: Bearer <key>\"");
  }
  return caller;
}

std::string Access::key_of(std::string_view authorization, const std::string& peer) const {
  if (keys_->empty()) return "";
  const std::string_view credentials = key_in(authorization);
  if (!peer.empty() && !credentials.empty() && guesses_->refuses(peer, credentials)) return "";
  return keys_->name_of(credentials);
}

Access::Headers Access::cors_headers(std::string_view origin) const {
  if (origins_.empty() || origin.empty()) return {};
  for (const std::string& allowed : origins_) {
    if (allowed == "*") return {{"Access-Control-Allow-Origin", "*"}};
    if (allowed == origin) return {{"Access-Control-Allow-Origin", allowed}, {"Vary", "Origin"}};
  }
  return {};
}

}  // namespace rerank::transport
