#include "cli/serving/listeners.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/process.h"
#include "transport/listen.h"

namespace rerank::cli {
namespace {

Status read_address(const std::string& address, ServerOptions& options) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(str_cat("--read-only-metrics-address ", address, ": want HOST:PORT"));
  }
  options.host = address.substr(0, colon);
  if (options.host.starts_with('[') && options.host.ends_with(']'))
    options.host = options.host.substr(1, options.host.size() - 2);
  options.port = static_cast<uint16_t>(port);
  return ok_status();
}

Status bind_if_free(ServerOptions& options) {
  if (options.bound_socket >= 0) return ok_status();
  const Result<int> bound = transport::bind_tcp(options.host, options.port);
  if (bound.ok()) options.bound_socket = *bound;
  return bound.status();
}

}  // namespace

Result<Listeners> listeners_of(const ServerOptions& options) {
  Listeners listeners{options, options, false};
  ASSIGN_OR_RETURN(const auto passed, take_passed_sockets());
  for (const PassedSocket& socket : passed) {
    ServerOptions& taker = socket.name == "metrics" ? listeners.metrics : listeners.main;
    if (taker.bound_socket >= 0) {
      return absl::InvalidArgumentError(
          str_cat("socket \"", socket.name, "\": want one, and one with FileDescriptorName=metrics at most"));
    }
    taker.bound_socket = socket.fd;
  }
  listeners.passed = listeners.main.bound_socket >= 0;
  RETURN_IF_ERROR(bind_if_free(listeners.main));
  if (options.grpc_port != 0) {
    const Result<int> bound = transport::bind_tcp(options.host, options.grpc_port);
    if (!bound.ok()) return with_context(bound.status(), "gRPC");
    listeners.main.bound_grpc_socket = *bound;
  }
  ServerOptions& metrics = listeners.metrics;
  if (metrics.bound_socket < 0 && metrics.read_only_metrics_address.empty()) return listeners;
  if (metrics.bound_socket < 0) {
    RETURN_IF_ERROR(read_address(metrics.read_only_metrics_address, metrics));
    RETURN_IF_ERROR(bind_if_free(metrics));
  }
  // No keys, no TLS, and nothing that the main port's clients could fill.
  metrics.tls_cert = metrics.tls_key = metrics.tls_client_ca = "";
  metrics.max_connections = 64;
  metrics.max_body_bytes = 64u << 10;  // of POST /admin/models
  metrics.idle_timeout_ms =
      std::min<size_t>(metrics.idle_timeout_ms, 5000);  // besides, a new one takes a sleeper's place
  metrics.parse_threads = 1;
  metrics.max_memory_bytes = size_t{16} << 20;
  return listeners;
}

}  // namespace rerank::cli
