#include "api/path.h"

namespace rerank::api {

std::string normalise_path(std::string_view target) {
  if (const size_t scheme = target.find("://"); scheme != std::string_view::npos && target[0] != '/') {
    const size_t path = target.find_first_of("/?#", scheme + 3);
    target = path == std::string_view::npos ? "" : target.substr(path);
  }
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  path.reserve(target.size());
  for (const char c : target) {
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
  if (!path.ends_with(pattern)) return false;
  path.remove_suffix(pattern.size());
  return path.empty() || path.back() == '/';
}

}  // namespace rerank::api
