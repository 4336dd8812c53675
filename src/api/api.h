// The HTTP interface without HTTP: turns requests of every dialect into rerank calls and their results, or errors, into
// answers. The routes are one table in api.cc. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/options.h"
#include "base/metrics.h"
#include "rerank/catalog.h"
#include "transport/http.h"

namespace rerank::api {

class Api {
 public:
  using Done = std::function<void(transport::HttpResponse)>;
  enum class Port { kMain, kMetrics };  // kMetrics serves health and metrics alone

  // The Api may go before every `done` has been called, and every `complete` that an answer carries. `metrics` may be
  // null.
  Api(std::shared_ptr<Catalog> catalog, std::shared_ptr<Metrics> metrics, const ApiOptions& options);
  // Over one model, which must live until then.
  Api(Reranker& reranker, std::shared_ptr<Metrics> metrics, const ApiOptions& options);

  // Parses on the calling thread and returns when the work is queued. `done` is called exactly once, here or on a
  // thread of the reranker, and must not block. HEAD is answered as GET, body included: leaving it out is the
  // transport's business.
  void handle(transport::HttpRequest&& request, Done done, Port port = Port::kMain);

  // Whose account of memory a request to the main port counts in: its key's (client_of_key()); empty: its peer's.
  // Absent: keys are needed, and it has no valid one, or its address has been wrong too often.
  std::optional<std::string> client_of(const transport::HttpRequest& request) const;

  // Whether a request without a body is answered from what is known already, in some microseconds.
  bool is_probe(const transport::HttpRequest& request) const;

  struct State;  // shared with the requests in flight

 private:
  std::shared_ptr<State> state_;
};

}  // namespace rerank::api
