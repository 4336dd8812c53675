// rerankd serve: the HTTP server until SIGTERM or SIGINT.
#include <absl/strings/numbers.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "api/api.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/command.h"
#include "observe/gpu_metrics.h"
#include "observe/process_metrics.h"
#include "observe/request_log.h"
#include "observe/tei_names.h"
#include "observe/tracer.h"
#include "rpc/grpc_server.h"
#include "server/http_server.h"

namespace rerank {
namespace {

// What --read-only-metrics-address says. No keys, and none of the main port's clients can fill it.
Result<std::unique_ptr<HttpServer>> serve_metrics(ServerOptions options, Api& api) {
  const std::string& address = options.read_only_metrics_address;
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return absl::InvalidArgumentError(str_cat("--read-only-metrics-address ", address, ": want HOST:PORT"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  options.host = host;
  options.port = static_cast<uint16_t>(port);
  options.max_connections = 64;
  options.max_body_bytes = 4096;
  auto server = HttpServer::start(options, [&api](HttpRequest&& request, auto done) {
    api.handle(std::move(request), std::move(done), Api::Port::kMetrics);
  });
  if (server.ok()) log_info(str_cat("metrics on http://", host, ":", (*server)->port(), "/metrics"));
  return server;
}

struct Serve : Command {
  explicit Serve(CLI::App& program)
      : Command(program, "serve", "Serve a model over HTTP, for every client dialect (TEI, Cohere, Jina, vLLM, ...).") {
    settings.add(options);
    settings.add(server);
  }

  int run() {
    // Signals are taken by sigwait below; blocked before any thread starts, so that none of them gets one.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    if (Status status = complete(); !status.ok()) return report(status);
    auto keys = KeyRing::open(server.api_key, server.api_key_file);
    if (!keys.ok()) return report(keys.status());

    auto metrics = std::make_shared<Metrics>();
    auto observers = make_observers(metrics);
    if (!observers.ok()) return report(observers.status());
    add_process_metrics(*metrics);
    add_gpu_metrics(*metrics);
    if (server.tei_metrics) add_tei_names(*metrics);
    auto reranker = open(metrics);
    if (!reranker.ok()) return report(reranker.status());
    ApiOptions api_options = ApiOptions::from(options, server);
    api_options.keys = std::move(*keys);
    api_options.observers = std::move(*observers);
    Api api(**reranker, metrics, api_options);
    auto http = HttpServer::start(
        server, [&api](HttpRequest&& request, auto done) { api.handle(std::move(request), std::move(done)); }, metrics);
    if (!http.ok()) return report(http.status());
    std::unique_ptr<HttpServer> metrics_http;
    if (!server.read_only_metrics_address.empty()) {
      auto started = serve_metrics(server, api);
      if (!started.ok()) return report(started.status());
      metrics_http = std::move(*started);
    }
    std::unique_ptr<GrpcServer> grpc;
    if (server.grpc_port != 0) {
      auto started = GrpcServer::start(server, {**reranker, api_options, metrics});
      if (!started.ok()) return report(started.status());
      grpc = std::move(*started);
      log_info(str_cat("gRPC on ", server.host, ":", grpc->port(), "  (tei.v1, rerank.v1, health, reflection)"));
    }
    log_info(str_cat("listening on http://", server.host, ":", (*http)->port(),
                     "  (POST /v1/rerank, /rerank; GET /health, /info)"));

    int signal = 0;
    sigwait(&signals, &signal);
    log_info(str_cat(signal == SIGINT ? "SIGINT" : "SIGTERM", ": finishing what was accepted"));
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second signal ends the program at once
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

  // Who is told of each request besides the metrics; every transport gets them.
  Result<std::vector<std::shared_ptr<RequestObserver>>> make_observers(const std::shared_ptr<Metrics>& metrics) {
    std::vector<std::shared_ptr<RequestObserver>> observers;
    if (server.request_log_rate > 0) observers.push_back(make_request_log(server.request_log_rate));
    if (server.otlp_endpoint.empty()) return observers;
    auto tracer = make_tracer({.endpoint = server.otlp_endpoint,
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

}  // namespace rerank
