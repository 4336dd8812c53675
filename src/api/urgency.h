// How urgent a request is: how long its client waits, and whether others go first. Said in a header or in the body, in
// the words that clients and proxies have for it (docs/http-api.md).
#pragma once

#include <chrono>

#include "api/body.h"
#include "api/http.h"
#include "rerank/types.h"

namespace rerank {

// Fills deadline and priority of `request`. Of several time-outs the shortest counts; where none is given,
// `default_timeout` (0: none). `begin`: when the request was complete. What is wrong goes to body.fail().
void read_urgency(const HttpRequest& http, std::chrono::milliseconds default_timeout, TimePoint begin, Body& body,
                  RerankRequest& request);

// Cache-Control: no-cache or no-store.
bool wants_fresh_scores(const HttpRequest& http);

}  // namespace rerank
