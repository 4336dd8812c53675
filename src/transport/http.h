// An HTTP request and its answer as plain data: what a transport (server) hands to a handler (api) and gets back.
// Nothing here knows sockets or an HTTP library.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rerank/types.h"

namespace rerank::transport {

struct HttpRequest {
  std::string method;                                        // as received: "GET", "POST", ...
  std::string target;                                        // as received: path with query string, or an absolute URL
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case, in the order received
  std::string body;                                          // complete, transfer encoding removed
  std::shared_ptr<Cancellation> cancellation;  // set by the transport when the client has gone; may be null
  std::string peer;                            // who has sent it, as peer_of() (memory_budget.h) has it; may be empty
  bool unread = false;                         // the body was dropped: the caller seemed to be none (client_of())
  std::shared_ptr<MemoryAccount> memory;       // what it takes beside its bytes is counted there; null: it is not

  // Value of the first header called `name` (lower case), or empty. Points into this object.
  std::string_view header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";  // empty: no body and no Content-Type
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool close = false;  // the connection must not be used again

  // If set, the transport calls it once, on its own thread, before it writes: it adds body and headers. So that the
  // thread which computed the scores need not also write JSON.
  std::function<void(HttpResponse& self)> complete;
};

}  // namespace rerank::transport
