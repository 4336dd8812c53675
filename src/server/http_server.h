// HTTP/1.1 and 1.0 over TCP: reads requests, hands them to a handler, writes the answers in order. Knows limits,
// timeouts and draining; knows nothing of ranking.
//
//   auto server = HttpServer::start(options, [&](HttpRequest&& r, auto done) { api.handle(std::move(r), done); },
//   metrics);
//   ... (*server)->port() ...
//   (*server)->drain_and_stop();
//
// What goes wrong in the transport itself is answered with the common JSON error body (transport/errors.h), then
// closed: broken HTTP 400, a slow client 408, a large body 413 (before it is read, when its length is announced), a
// large head 431, too many connections 503. A client that disconnects while its request is computed gets its request's
// Cancellation set; one that only closes its sending side still gets its answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.h"
#include "rerank/options.h"
#include "rerank/status.h"
#include "transport/http.h"
#include "transport/memory_budget.h"

namespace rerank::server {

// Called with a complete request: on an I/O thread, and then it must return soon, when it is a probe
// (RequestRules::is_probe); on a thread for pages when it has no body; else on one of options.parse_threads. `done`
// must be called exactly once, on any thread, at any time: also after the server is gone, when it does nothing.
using HttpHandler =
    std::function<void(transport::HttpRequest&& request, std::function<void(transport::HttpResponse)> done)>;

// What requests are counted in, and which go first.
struct RequestRules {
  std::shared_ptr<transport::MemoryBudget> budget;  // null: an account of its own of options.max_memory_bytes
  // Which client a request counts for (memory_budget.h) from when its body is here; null, or an empty answer: its peer.
  // Absent: one that the handler will refuse by its head alone; it gets the request without its body, which is neither
  // decompressed nor counted for anybody else. Called on one of options.parse_threads.
  using ClientOf = std::function<std::optional<std::string>(const transport::HttpRequest&)>;
  ClientOf client_of;
  // Of those without a body, which are answered at once, on an I/O thread; null: all. The others (metrics, pages) cost
  // some 100 us each, which thousands of connections could ask for.
  std::function<bool(const transport::HttpRequest&)> is_probe;
};

// What becomes of a new connection where there are options.max_connections, or its address has its share of them.
enum class WhenFull {
  kRefuse,    // it is told so
  kMakeRoom,  // that whose client has been waited for longest is closed for it: clients are few, and ask again
};

class HttpServer {
 public:
  // Listens and starts options.io_threads threads. Raises the process's soft limit of open files towards its hard limit
  // when options.max_connections needs it. `metrics` may be null. Errors: the address is unknown, taken or forbidden.
  static Result<std::unique_ptr<HttpServer>> start(const ServerOptions& options, HttpHandler handler,
                                                   std::shared_ptr<Metrics> metrics = nullptr, RequestRules rules = {},
                                                   WhenFull when_full = WhenFull::kRefuse);

  ~HttpServer();  // drain_and_stop()

  uint16_t port() const;  // the real one when options.port is 0

  size_t open_connections() const;
  void reload_certificates();  // from their files, for connections from now on

  // Stops listening, answers what was accepted (for at most options.drain_timeout_ms, then drops it and sets its
  // Cancellation), closes all connections and joins the threads. Blocks; not from an I/O thread. The second call does
  // nothing.
  void drain_and_stop();

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rerank::server
