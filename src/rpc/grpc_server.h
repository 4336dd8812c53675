// gRPC beside HTTP: the same service, keys, limits and errors. Serves tei.v1 (text-embeddings-inference's interface),
// rerank.v1 (our own), grpc.health.v1 and reflection: proto/.
//
//   auto server = GrpcServer::start(options, {catalog, api_options, metrics});
//   ... (*server)->port() ...
//   (*server)->drain_and_stop();
//
// A call's deadline is its request's; a call that is cancelled, or whose client has gone, cancels what it asked for.
#pragma once

#include <cstdint>
#include <memory>

#include "api/options.h"
#include "base/metrics.h"
#include "rerank/catalog.h"
#include "rerank/options.h"

namespace rerank::rpc {

class GrpcServer {
 public:
  struct Parts {
    std::shared_ptr<Catalog> catalog;
    api::ApiOptions api;
    std::shared_ptr<Metrics> metrics;  // may be null
  };

  // Listens on options.host and options.grpc_port (0: a free one). Errors: the address is unknown, taken or forbidden;
  // the certificates cannot be read.
  static Result<std::unique_ptr<GrpcServer>> start(const ServerOptions& options, const Parts& parts);

  ~GrpcServer();  // drain_and_stop()

  uint16_t port() const;

  size_t open_calls() const;

  // What health checks hear from now on; at the start: that it serves.
  void set_serving(bool serving);

  // Says so to health checks, takes no more calls, finishes what was accepted (for at most options.drain_timeout_ms,
  // then cancels it). Blocks. The second call does nothing.
  void drain_and_stop();

 private:
  struct Impl;
  explicit GrpcServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace rerank::rpc
