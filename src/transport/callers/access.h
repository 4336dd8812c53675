// Who may call: API keys, and web pages of other origins (CORS). Thread-safe after construction.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "transport/callers/guesses.h"
#include "transport/callers/keys.h"
#include "transport/http.h"

namespace rerank::transport {

class Access {
 public:
  // No keys in the ring: everyone may call. `origins`, separated by commas: none: no CORS headers; "*": any origin.
  // `local`: the server listens on a loopback address only.
  Access(std::shared_ptr<KeyRing> keys, std::string_view origins, bool local = false);

  bool needs_key() const { return !keys_->empty(); }

  // Who calls, by the Authorization header's value: "Bearer <key>" or, as LlamaIndex sends it, "<key>". Errors:
  // kUnauthorized, kRateLimited when `peer` (empty: nobody in particular) has been wrong too often, and as
  // KeyRing::admit(). Without keys everybody is a caller without a name.
  Result<KeyRule> admit(std::string_view authorization, const std::string& peer) const;

  // The name of the caller's key; "" where it has none, or a wrong one, or `peer` has been wrong too often: where
  // admit() refuses, which counts it. Uses nothing of the key's rate.
  std::string key_of(std::string_view authorization, const std::string& peer) const;
  // Takes what a request has cost from what the key of this name may use. `name` may be empty.
  void charge(std::string_view name, size_t tokens) const { keys_->charge(name, tokens); }

  // kForbidden when a browser says that the page which asks is of another site: a page of an origin that is not among
  // `origins`, nor the server's own. A local server without keys is its own only where it is called by an address,
  // "localhost" or a host among `origins`: another name may be one that a page's site has made to mean this machine.
  Status check_page(const HttpRequest& request) const;

  // The headers that let a page of this origin read an answer; empty when it may not.
  using Headers = std::vector<std::pair<std::string, std::string>>;
  Headers cors_headers(std::string_view origin) const;

 private:
  std::shared_ptr<KeyRing> keys_;
  std::vector<std::string> origins_;
  bool local_;
  std::shared_ptr<Guesses> guesses_ = std::make_shared<Guesses>();
};

}  // namespace rerank::transport
