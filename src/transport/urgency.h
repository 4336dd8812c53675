// How urgent a request is: how long its client waits, and whether others go first. Said in a header or in the body, in
// the words that clients and proxies have for it (docs/http-api.md).
#pragma once

#include <chrono>

#include "rerank/types.h"
#include "transport/body.h"
#include "transport/http.h"

namespace rerank::transport {

// Fills deadline and priority of `request`. Of several time-outs the shortest counts; where none is given,
// `default_timeout` (0: none). `begin`: when the request was complete. What is wrong goes to body.fail().
void read_urgency(const HttpRequest& http, std::chrono::milliseconds default_timeout, TimePoint begin, Body& body,
                  RerankRequest& request);

// What a request steps back by, 0 to 999 (more is the same), as RerankRequest::priority. Nobody can put himself before
// the others' default.
int priority_behind(double steps);

// The value of the header X-Request-Priority. kInvalid: it is no number.
Result<int> read_priority(std::string_view text);

// Cache-Control: no-cache or no-store.
bool wants_fresh_scores(std::string_view cache_control);
bool wants_fresh_scores(const HttpRequest& http);

}  // namespace rerank::transport
