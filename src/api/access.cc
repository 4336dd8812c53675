#include "api/access.h"

#include "api/body.h"

namespace rerank {
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

// Takes as long for a key that is nearly right as for one that is not.
bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

}  // namespace

Access::Access(std::string_view keys, std::string_view origins) : keys_(split(keys)), origins_(split(origins)) {}

bool Access::allows(const HttpRequest& request) const {
  if (keys_.empty()) return true;
  constexpr std::string_view kScheme = "bearer ";
  std::string_view credentials = trim(request.header("authorization"));
  if (same_word(credentials.substr(0, kScheme.size()), kScheme)) credentials = trim(credentials.substr(kScheme.size()));
  bool allowed = false;
  for (const std::string& key : keys_) allowed |= same_secret(key, credentials);
  return allowed;
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

}  // namespace rerank
