// Who may call: API keys, and web pages of other origins (CORS). Thread-safe after construction.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/http.h"

namespace rerank {

class Access {
 public:
  // Both are lists separated by commas. No keys: everyone may call. No origins: no CORS headers; "*": any origin.
  Access(std::string_view keys, std::string_view origins);

  bool needs_key() const { return !keys_.empty(); }

  // True without keys, else when Authorization is "Bearer <key>" or, as LlamaIndex sends it, "<key>".
  bool allows(const HttpRequest& request) const;

  // The headers that let the page which sent this request read the answer; empty when it may not.
  std::vector<std::pair<std::string, std::string>> cors_headers(const HttpRequest& request) const;

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> origins_;
};

}  // namespace rerank
