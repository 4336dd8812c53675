// rerankd serve: the HTTP server until SIGTERM or SIGINT. The ports answer from the first moment; models are loaded
// meanwhile.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <map>
#include <optional>
#include <thread>

#include "api/api.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "base/system/heap.h"
#include "cli/command.h"
#include "cli/process.h"
#include "cli/serving/listeners.h"
#include "cli/serving/model_list.h"
#include "cli/serving/notify.h"
#include "cli/serving/start_up.h"
#include "cli/signals.h"
#include "observe/gpu_metrics.h"
#include "observe/process_metrics.h"
#include "observe/request_log.h"
#include "observe/tei_names.h"
#include "observe/tracer.h"
#include "rank/host.h"
#include "rank/locate.h"
#include "rpc/grpc_server.h"
#include "serve/model_catalog.h"
#include "server/http_server.h"

namespace rerank::cli {
namespace {

constexpr std::chrono::milliseconds kLookAgain(100);  // for signals and progress, while models load
constexpr size_t kLeastAdminKey = 16;

// What listens. Stopped in the order of stop().
struct Servers {
  std::unique_ptr<server::HttpServer> http, metrics;
  std::unique_ptr<rpc::GrpcServer> grpc;

  void stop() {
    std::thread other([this] {
      if (grpc) grpc->drain_and_stop();
    });
    http->drain_and_stop();
    other.join();
    metrics.reset();  // last, so that the end can be watched
  }
};

struct Serve : Command {
  explicit Serve(CLI::App& program)
      : Command(program, "serve", "Serve models over HTTP, for every client dialect (TEI, Cohere, Jina, vLLM, ...).") {
    settings.add(options);
    settings.add(server);
    settings.repeat("model");
    app.add_flag("--check", only_check, "Check settings, keys, certificates and ports, load nothing, and end.");
  }

  int run() {
    Signals signals;
    if (Status status = complete(); !status.ok()) return report(status);
    expand_paths(server);
    if (Status status = check_admin(); !status.ok()) return report(status);
    if (Status status = check_keys(); !status.ok()) return report(status);
    if (auto values = settings.file_values(); values.ok()) file_values = *std::move(values);
    base = options;
    base.model.source.download_progress = download_line();
    const auto plan = read_model_list(settings.values("model"), settings.config_path(), base);
    if (!plan.ok()) return report(plan.status());
    auto listeners = listeners_of(server);
    if (!listeners.ok()) return report(listeners.status());
    if (Status status = become_user(server.user); !status.ok()) return report(status);
    bound_kept_memory();
    signals.start();
    auto keys = transport::KeyRing::open(server.api_key, server.api_key_file);
    if (!keys.ok()) return report(keys.status());

    metrics = std::make_shared<Metrics>();
    auto observers = make_observers();
    if (!observers.ok()) return report(observers.status());
    observe::add_process_metrics(*metrics);
    observe::add_gpu_metrics(*metrics);
    if (server.tei_metrics) observe::add_tei_names(*metrics);
    if (only_check) return check_listeners(*listeners);
    auto opened = open_catalog(*plan, listeners->passed);
    if (!opened.ok()) return report(opened.status());
    const std::shared_ptr<serve::ModelCatalog> catalog = *std::move(opened);
    api_options = api::ApiOptions::from(options, server);
    api_options.keys = std::move(*keys);
    api_options.observers = std::move(*observers);
    api_options.memory = std::make_shared<transport::MemoryBudget>(server.max_memory_bytes, metrics.get());
    api_options.metrics_apart = listeners->metrics.bound_socket >= 0;
    api_options.make_spec = [this](const auto& model, const auto& aliases) { return make_spec(model, aliases, base); };
    const HeapTrimmer trimmer;
    Servers servers;
    if (Status status = listen(*listeners, catalog, servers); !status.ok()) return report(status);
    // From here on there is something to finish.
    signals.serving([this, &catalog, &servers] { reload(*catalog, *servers.http); });
    const int code = serve_until_signal(signals, *catalog, servers);
    signals.end_reloads();
    if (catalog->loading()) {  // it cannot be interrupted, and has nothing to finish
      log_info("stopped, while a model was loading");
      std::fflush(nullptr);
      _exit(code);
    }
    return code;
  }

  // That it would listen, with its certificates; 2 where it would not, as for every other wrong setting.
  int check_listeners(const Listeners& listeners) const {
    auto http = server::HttpServer::start(listeners.main, [](transport::HttpRequest&&, auto) {});
    if (!http.ok()) return report(http.status()), 2;
    (*http)->drain_and_stop();
    std::puts("the settings are right; nothing was loaded");
    return 0;
  }

  // The exit status.
  int serve_until_signal(Signals& signals, const serve::ModelCatalog& catalog, Servers& servers) {
    StartUp start(catalog);
    bool started = catalog.wait_for_start(kLookAgain);
    if (!started) log_info(str_cat("answering health and metrics on ", url(servers), " while models load"));
    for (; !started && !signals.ended(); started = catalog.wait_for_start(kLookAgain)) start.report();
    if (started) {
      if (Status status = catalog.start_result(); !status.ok()) {
        servers.stop();
        return report(status);
      }
      if (servers.grpc) servers.grpc->set_serving(true);
      log_info(str_cat("listening on ", url(servers), "  (POST /v1/rerank, /rerank; GET /health, /info)"));
      notify_service_manager(str_cat("READY=1\nSTATUS=Serving ", names_of(catalog)));
    }
    const int signal = signals.wait([&] {
      const std::string calls = servers.grpc ? str_cat(" and ", servers.grpc->open_calls(), " gRPC calls") : "";
      return str_cat(", with ", servers.http->open_connections(), " connections", calls, " open");
    });
    log_info(str_cat(signal == SIGINT ? "SIGINT" : "SIGTERM",
                     started ? ": finishing what was accepted" : ": ended before it was up"));
    notify_service_manager("STOPPING=1");
    if (started) leave(servers);
    servers.stop();
    if (started) log_info("stopped");
    return 0;
  }

  // While balancers notice, requests are taken as before.
  void leave(Servers& servers) {
    *api_options.leaving = true;
    if (server.drain_delay_ms == 0) return;
    if (servers.grpc) servers.grpc->set_serving(false);
    log_info(str_cat("health says 503; requests are taken for ", server.drain_delay_ms, " ms more"));
    std::this_thread::sleep_for(std::chrono::milliseconds(server.drain_delay_ms));
  }

  Status check_admin() const {
    const std::string& key = server.models.admin_key;
    if (key.empty()) return ok_status();
    if (key.size() < kLeastAdminKey)
      return absl::InvalidArgumentError(str_cat("--admin-key: want ", kLeastAdminKey, " letters or more"));
    if (server.read_only_metrics_address.empty())
      log_warning("--admin-key: served only where there is a --read-only-metrics-address, or a socket named metrics");
    return ok_status();
  }

  // An empty list of keys is a mistake, not a server for everybody.
  Status check_keys() const {
    for (const std::string& keys : settings.values("api-key")) {
      if (keys.empty()) return absl::InvalidArgumentError("--api-key is empty: leave it out to ask for no key");
    }
    const char* const set = std::getenv("RERANKD_API_KEY");
    if (set != nullptr && *set == '\0')
      return absl::InvalidArgumentError("RERANKD_API_KEY is empty: unset it to ask for no key");
    return ok_status();
  }

  Result<std::shared_ptr<serve::ModelCatalog>> open_catalog(const serve::CatalogPlan& plan, bool wait_at_start) {
    ASSIGN_OR_RETURN(const auto host, rank::Host::make(options.host, metrics.get()));
    Options shared = options;
    if (!server.models.shadow_model.empty()) shared.host.watch.shadow_rate = 0;  // by another model instead
    const auto open_model = [shared, host](const ModelSpec& spec, std::shared_ptr<Metrics> of_model,
                                           const std::function<void(const LoadProgress&)>& progress) {
      Options whole = shared;
      whole.model = spec.options;
      return Reranker::open(whole, std::move(of_model), {host, spec.weight, spec.cache_share, progress});
    };
    for (const ModelSpec& spec : plan.models) loaded[rank::name_of(spec.options.source)] = describe(spec);
    plan_text = describe(plan);
    const WatchOptions& watch = options.host.watch;
    return serve::ModelCatalog::start(plan, {server.models, watch.shadow_rate, watch.shadow_queue_bytes, wait_at_start},
                                      open_model, metrics);
  }

  Status listen(const Listeners& listeners, const std::shared_ptr<Catalog>& catalog, Servers& servers) {
    const auto api = std::make_shared<api::Api>(catalog, metrics, api_options);
    const auto handle = [api](transport::HttpRequest&& request, auto done) {
      api->handle(std::move(request), std::move(done));
    };
    const auto client_of = [api](const transport::HttpRequest& request) { return api->client_of(request); };
    const auto is_probe = [api](const transport::HttpRequest& request) { return api->is_probe(request); };
    ASSIGN_OR_RETURN(servers.http, server::HttpServer::start(listeners.main, handle, metrics,
                                                             {api_options.memory, client_of, is_probe}));
    if (api_options.metrics_apart) {
      const auto handle_metrics = [api](transport::HttpRequest&& request, auto done) {
        api->handle(std::move(request), std::move(done), api::Api::Port::kMetrics);
      };
      // Sleepers must not blind Prometheus.
      ASSIGN_OR_RETURN(servers.metrics, server::HttpServer::start(listeners.metrics, handle_metrics, nullptr, {},
                                                                  server::WhenFull::kMakeRoom));
      log_info(str_cat("metrics on http://", listeners.metrics.host, ":", servers.metrics->port(), "/metrics"));
    }
    if (server.grpc_port != 0) {
      ASSIGN_OR_RETURN(servers.grpc, rpc::GrpcServer::start(listeners.main, {catalog, api_options, metrics}));
      servers.grpc->set_serving(false);  // until models are loaded
      log_info(
          str_cat("gRPC on ", server.host, ":", servers.grpc->port(), "  (tei.v1, rerank.v1, health, reflection)"));
    }
    return ok_status();
  }

  // SIGHUP, on the thread of signals. gRPC looks for certificates each second.
  void reload(serve::ModelCatalog& catalog, server::HttpServer& http) {
    api_options.keys->reload();
    http.reload_certificates();
    log_changed_settings();
    const auto plan = read_model_list(settings.values("model"), settings.config_path(), base);
    if (!plan.ok()) return log_error(str_cat(message_of(plan.status()), "; models stay as they are"));
    // What was loaded, split or renamed at run time stays, unless the list is another one.
    const std::string text = describe(*plan);
    if (text == plan_text) return;
    std::map<std::string, std::string> wanted;
    for (const ModelSpec& spec : plan->models) wanted[rank::name_of(spec.options.source)] = describe(spec);
    const Status status = catalog.apply(*plan, [&](const ModelSpec& spec) {
      const std::string name = rank::name_of(spec.options.source);
      return loaded[name] != wanted[name];
    });
    if (!status.ok()) return log_error(str_cat("models: ", message_of(status)));
    loaded = wanted;
    plan_text = text;
  }

  // Other settings than models are read at the start: logs which of the file have changed since.
  void log_changed_settings() {
    const auto now = settings.file_values();
    if (!now.ok()) return log_error(message_of(now.status()));
    std::map<std::string, std::string> all = *now;
    all.insert(file_values.begin(), file_values.end());
    const auto value = [](const auto& values, const std::string& name) {
      const auto found = values.find(name);
      return found == values.end() ? std::nullopt : std::optional(found->second);
    };
    std::string names;
    for (const auto& [name, any] : all) {
      if (value(*now, name) != value(file_values, name)) names += str_cat(names.empty() ? "" : ", ", name);
    }
    if (!names.empty())
      log_warning(str_cat(settings.config_path(), ": ", names, ": a restart is needed for what has changed there"));
  }

  std::string url(const Servers& servers) const {
    return str_cat(server.tls_cert.empty() ? "http://" : "https://", server.host, ":", servers.http->port());
  }

  static std::string names_of(const Catalog& catalog) {
    std::string names;
    for (const ModelReport& model : catalog.list()) names += str_cat(names.empty() ? "" : ", ", model.name);
    return names;
  }

  // Observers of each request besides the metrics; every transport gets them.
  Result<std::vector<std::shared_ptr<observe::RequestObserver>>> make_observers() {
    std::vector<std::shared_ptr<observe::RequestObserver>> observers;
    if (server.request_log_rate > 0) observers.push_back(observe::make_request_log(server.request_log_rate));
    if (server.otlp_endpoint.empty()) return observers;
    ASSIGN_OR_RETURN(auto tracer, observe::make_tracer({.endpoint = server.otlp_endpoint,
                                                        .headers = server.otlp_headers,
                                                        .service_name = server.service_name,
                                                        .rate = server.trace_rate,
                                                        .max_queued = server.trace_queue},
                                                       metrics));
    observers.push_back(std::move(tracer));
    return observers;
  }

  bool only_check = false;
  ServerOptions server;
  std::map<std::string, std::string> file_values;  // of --config, at the start
  Options base;                                    // what models have where nothing else is said of them
  std::shared_ptr<Metrics> metrics;
  api::ApiOptions api_options;
  std::map<std::string, std::string> loaded;  // by name: what each model was loaded by, as SIGHUP compares it
  std::string plan_text;                      // of the whole list
};

}  // namespace

Run add_serve_command(CLI::App& program) {
  auto command = std::make_shared<Serve>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
