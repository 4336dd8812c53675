// Who may call: API keys, and web pages of other origins (CORS). Thread-safe after construction.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "transport/http.h"
#include "transport/keys.h"

namespace rerank::transport {

class Access {
 public:
  // No keys in the ring: everyone may call. `origins`, separated by commas: none: no CORS headers; "*": any origin.
  Access(std::shared_ptr<KeyRing> keys, std::string_view origins);

  bool needs_key() const { return !keys_->empty(); }

  // Who calls, by the Authorization header's value: "Bearer <key>" or, as LlamaIndex sends it, "<key>". Errors:
  // kUnauthorized, and as KeyRing::admit(). Without keys everybody is a caller without a name.
  Result<KeyRule> admit(std::string_view authorization) const;

  // The headers that let the page which sent this request read the answer; empty when it may not.
  std::vector<std::pair<std::string, std::string>> cors_headers(const HttpRequest& request) const;

 private:
  std::shared_ptr<KeyRing> keys_;
  std::vector<std::string> origins_;
};

}  // namespace rerank::transport
