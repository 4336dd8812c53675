#include "transport/access.h"

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

}  // namespace

Access::Access(std::shared_ptr<KeyRing> keys, std::string_view origins)
    : keys_(std::move(keys)), origins_(split(origins)) {}

Result<KeyRule> Access::admit(std::string_view authorization) const {
  if (keys_->empty()) return KeyRule{};
  constexpr std::string_view kScheme = "bearer ";
  std::string_view credentials = trim(authorization);
  if (same_word(credentials.substr(0, kScheme.size()), kScheme)) credentials = trim(credentials.substr(kScheme.size()));
  Result<KeyRule> caller = keys_->admit(credentials);
  if (absl::IsUnauthenticated(caller.status())) {
    return make_error(ErrorKind::kUnauthorized,
                      "a valid API key is required: send it as \"Authorization: Bearer <key>\"");
  }
  return caller;
}

std::vector<std::pair<std::string, std::string>> Access::cors_headers(const HttpRequest& request) const {
  const std::string_view origin = request.header("origin");
  if (origins_.empty() || origin.empty()) return {};
  for (const std::string& allowed : origins_) {
    if (allowed == "*") return {{"Access-Control-Allow-Origin", "*"}};
    if (allowed == origin) return {{"Access-Control-Allow-Origin", allowed}, {"Vary", "Origin"}};
  }
  return {};
}

}  // namespace rerank::transport
