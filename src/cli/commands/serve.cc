// rerankd serve: the HTTP server until SIGTERM or SIGINT.
#include <absl/strings/numbers.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include "api/api.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/command.h"
#include "cli/heap.h"
#include "cli/process.h"
#include "cli/signals.h"
#include "observe/gpu_metrics.h"
#include "observe/process_metrics.h"
#include "observe/request_log.h"
#include "observe/tei_names.h"
#include "observe/tracer.h"
#include "rpc/grpc_server.h"
#include "server/http_server.h"
#include "transport/listen.h"

namespace rerank::cli {
namespace {

// Where the server listens: bound before privileges are given up and before the model is loaded, which takes a while.
struct Listeners {
  ServerOptions main, metrics;
};

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

// Sockets that were passed, by name: "metrics", and one other; the rest is bound here.
Result<Listeners> listeners_of(const ServerOptions& options) {
  Listeners listeners{options, options};
  ASSIGN_OR_RETURN(auto passed, take_passed_sockets());
  for (const PassedSocket& socket : passed) {
    ServerOptions& taker = socket.name == "metrics" ? listeners.metrics : listeners.main;
    if (taker.bound_socket >= 0) {
      return absl::InvalidArgumentError(
          str_cat("socket \"", socket.name, "\": want one, and one with FileDescriptorName=metrics at most"));
    }
    taker.bound_socket = socket.fd;
  }
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
  metrics.max_body_bytes = 4096;
  metrics.idle_timeout_ms = std::min<size_t>(metrics.idle_timeout_ms, 5000);  // sleepers must not blind Prometheus
  metrics.parse_threads = 1;
  metrics.max_memory_bytes = size_t{16} << 20;
  return listeners;
}

struct Serve : Command {
  explicit Serve(CLI::App& program)
      : Command(program, "serve", "Serve a model over HTTP, for every client dialect (TEI, Cohere, Jina, vLLM, ...).") {
    settings.add(options);
    settings.add(server);
  }

  int run() {
    Signals signals;
    if (Status status = complete(); !status.ok()) return report(status);
    expand_paths(server);
    auto listeners = listeners_of(server);
    if (!listeners.ok()) return report(listeners.status());
    if (Status status = become_user(server.user); !status.ok()) return report(status);
    signals.start();
    auto keys = transport::KeyRing::open(server.api_key, server.api_key_file);
    if (!keys.ok()) return report(keys.status());

    auto metrics = std::make_shared<Metrics>();
    auto observers = make_observers(metrics);
    if (!observers.ok()) return report(observers.status());
    observe::add_process_metrics(*metrics);
    observe::add_gpu_metrics(*metrics);
    if (server.tei_metrics) observe::add_tei_names(*metrics);
    auto reranker = open(metrics);
    if (!reranker.ok()) return report(reranker.status());
    api::ApiOptions api_options = api::ApiOptions::from(options, server);
    api_options.keys = std::move(*keys);
    api_options.observers = std::move(*observers);
    const auto memory = std::make_shared<transport::MemoryBudget>(server.max_memory_bytes, metrics.get());
    api_options.memory = memory;
    api_options.metrics_apart = listeners->metrics.bound_socket >= 0;
    api::Api api(**reranker, metrics, api_options);
    const HeapTrimmer trimmer;
    // From here on there is something to finish.
    std::atomic<server::HttpServer*> running = nullptr;
    signals.serving([&running, ring = api_options.keys] {
      ring->reload();
      if (server::HttpServer* of_certificates = running)
        of_certificates->reload_certificates();  // gRPC looks each second
    });
    auto http = server::HttpServer::start(
        listeners->main,
        [&api](transport::HttpRequest&& request, auto done) { api.handle(std::move(request), std::move(done)); },
        metrics, memory);
    if (!http.ok()) return report(http.status());
    running = http->get();
    std::unique_ptr<server::HttpServer> metrics_http;
    if (api_options.metrics_apart) {
      auto started = server::HttpServer::start(listeners->metrics, [&api](transport::HttpRequest&& request, auto done) {
        api.handle(std::move(request), std::move(done), api::Api::Port::kMetrics);
      });
      if (!started.ok()) return report(started.status());
      metrics_http = std::move(*started);
      log_info(str_cat("metrics on http://", listeners->metrics.host, ":", metrics_http->port(), "/metrics"));
    }
    std::unique_ptr<rpc::GrpcServer> grpc;
    if (server.grpc_port != 0) {
      auto started = rpc::GrpcServer::start(listeners->main, {**reranker, api_options, metrics});
      if (!started.ok()) return report(started.status());
      grpc = std::move(*started);
      log_info(str_cat("gRPC on ", server.host, ":", grpc->port(), "  (tei.v1, rerank.v1, health, reflection)"));
    }
    log_info(str_cat("listening on ", server.tls_cert.empty() ? "http://" : "https://", server.host, ":",
                     (*http)->port(), "  (POST /v1/rerank, /rerank; GET /health, /info)"));

    const int signal =
        signals.wait([&] { return str_cat(", with ", (*http)->open_connections(), " connections open"); });
    log_info(str_cat(signal == SIGINT ? "SIGINT" : "SIGTERM", ": finishing what was accepted"));
    std::thread other([&] {
      if (grpc) grpc->drain_and_stop();
    });
    (*http)->drain_and_stop();
    other.join();
    metrics_http.reset();  // last, so that the end can be watched
    reranker->reset();
    log_info("stopped");
    return 0;
  }

  // Observers of each request besides the metrics; every transport gets them.
  Result<std::vector<std::shared_ptr<observe::RequestObserver>>> make_observers(
      const std::shared_ptr<Metrics>& metrics) {
    std::vector<std::shared_ptr<observe::RequestObserver>> observers;
    if (server.request_log_rate > 0) observers.push_back(observe::make_request_log(server.request_log_rate));
    if (server.otlp_endpoint.empty()) return observers;
    auto tracer = observe::make_tracer({.endpoint = server.otlp_endpoint,
                                        .headers = server.otlp_headers,
                                        .service_name = server.service_name,
                                        .rate = server.trace_rate,
                                        .max_queued = server.trace_queue},
                                       metrics);
    if (!tracer.ok()) return tracer.status();
    observers.push_back(std::move(*tracer));
    return observers;
  }

  ServerOptions server;
};

}  // namespace

Run add_serve_command(CLI::App& program) {
  auto command = std::make_shared<Serve>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
