// One request away from its connection, on a worker: its body decoded, handled, and its answer written. Included only
// within this room.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "observe/request_metrics.h"
#include "rerank/types.h"
#include "server/http1/content_coding.h"
#include "server/http_server.h"
#include "transport/callers/access.h"
#include "transport/memory_budget.h"

namespace rerank::server {

// What the handler's answers have too: a page may read them, and a 415 says which codings are taken (RFC 7694 3).
void add_common_headers(transport::HttpResponse& response, const transport::Access::Headers& cors);

struct RequestTask {
  using Done = std::function<void(transport::HttpResponse)>;

  HttpHandler handler;  // the server may go while it is under way
  std::shared_ptr<Cancellation> cancellation;
  std::shared_ptr<transport::MemoryHold> memory;
  RequestRules::ClientOf client_of;
  ContentCoding coding;
  size_t max_body_bytes;
  size_t compress_min_bytes;
  std::shared_ptr<PackedPages> packed_pages;  // null: answers differ from one another
  observe::RequestMetrics requests;
  transport::Access::Headers cors;  // of answers that are not the handler's

  // Decompresses the body and hands it over. `done` is called once; never where the request has been cancelled.
  void run(transport::HttpRequest&& request, const Done& done) const;

  // Writes what the handler has left to be written, and compresses it.
  void finish(transport::HttpResponse& response) const;

 private:
  Status run_once(transport::HttpRequest&& request, const Done& done) const;
};

}  // namespace rerank::server
