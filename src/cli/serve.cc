// rerankd serve: the HTTP server until SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <thread>

#include "api/api.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/command.h"
#include "server/http_server.h"

namespace rerank {
namespace {

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
    auto reranker = open(metrics);
    if (!reranker.ok()) return report(reranker.status());
    ApiOptions api_options = ApiOptions::from(options, server);
    api_options.keys = std::move(*keys);
    Api api(**reranker, metrics, api_options);
    auto http = HttpServer::start(
        server, [&api](HttpRequest&& request, auto done) { api.handle(std::move(request), std::move(done)); }, metrics);
    if (!http.ok()) return report(http.status());
    log_info(str_cat("listening on http://", server.host, ":", (*http)->port(),
                     "  (POST /v1/rerank, /rerank; GET /health, /info, /metrics)"));

    int signal = 0;
    sigwait(&signals, &signal);
    log_info(str_cat(signal == SIGINT ? "SIGINT" : "SIGTERM", ": finishing what was accepted"));
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second signal ends the program at once
    (*http)->drain_and_stop();
    reranker->reset();
    log_info("stopped");
    return 0;
  }

  ServerOptions server;
};

}  // namespace

Run add_serve_command(CLI::App& program) {
  auto command = std::make_shared<Serve>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank
