#include "api/api.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "api/exchange.h"
#include "api/pages/pages.h"
#include "api/path.h"
#include "api/routes.h"
#include "transport/errors.h"
#include "transport/one_model.h"

namespace rerank::api {

namespace {

transport::HttpResponse no_route(std::string_view allowed) {
  if (allowed.empty()) {
    return transport::error_response(
        transport::make_error(transport::ErrorKind::kNotFound,
                              "Not Found: rerankd serves POST /rerank, GET /info, /health, /v1/models and /metrics"));
  }
  transport::HttpResponse response = transport::error_response(transport::make_error(
      transport::ErrorKind::kMethod, absl::StrFormat("Method Not Allowed: use %s here", allowed)));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

const ModelReport* find_report(const std::vector<ModelReport>& models, std::string_view name) {
  for (const ModelReport& report : models) {
    if (transport::same_word(report.name, name)) return &report;
    for (const std::string& alias : report.aliases) {
      if (transport::same_word(alias, name)) return &report;
    }
  }
  return nullptr;
}

// Of the model that the path names, where it names one; else of all.
void health(Exchange&& exchange) {
  std::vector<ModelReport> models = exchange.state->catalog->list();
  if (const ModelReport* named = find_report(models, exchange.path_model)) models = {ModelReport(*named)};
  // Why names files and folders: where keys are set, not everybody's to know. The list of models says it.
  if (exchange.state->access.needs_key()) {
    for (ModelReport& model : models) model.error.clear();
  }
  exchange.finish(health_page(models, !*exchange.state->options.grpc_failed && !*exchange.state->options.leaving));
}

void version(Exchange&& exchange) {
  transport::HttpResponse response;
  response.body = "{\"version\":\"" RERANKD_VERSION "\"}";
  exchange.finish(std::move(response));
}

void live(Exchange&& exchange) { exchange.finish(live_page()); }

// The model that the path names, else the default; until it is loaded nothing is known of it.
void info(Exchange&& exchange) {
  const auto model = exchange.state->catalog->find({exchange.path_model, "", /*wait=*/false});
  if (!model.ok()) return exchange.finish(transport::error_response(model.status(), transport::ErrorShape::kTei));
  exchange.finish(info_page((*model)->info(), exchange.state->options));
}

void models(Exchange&& exchange) { exchange.finish(models_page(*exchange.state->catalog)); }

// Of a name that nobody has, the default's, where such names are served: it is what would answer.
void model(Exchange&& exchange) {
  constexpr std::string_view kSegment = "/models/";
  const std::string name = exchange.path.substr(exchange.path.find(kSegment) + kSegment.size());
  const std::vector<ModelReport> models = exchange.state->catalog->list();
  const ModelReport* named = find_report(models, name);
  if (named == nullptr) {
    const auto found = exchange.state->catalog->find({name, "", /*wait=*/false});
    if (absl::IsNotFound(found.status())) return exchange.finish(transport::error_response(found.status()));
    for (const ModelReport& report : models) {
      if (report.is_default) named = &report;
    }
  }
  if (named == nullptr) return exchange.finish(no_route(""));
  exchange.finish(model_page(*named));
}

void cluster_auth(Exchange&& exchange) { exchange.finish(cluster_auth_page(exchange.state->access.needs_key())); }

void metrics(Exchange&& exchange) {
  transport::HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  if (exchange.state->metrics) response.body = exchange.state->metrics->to_text();
  exchange.finish(std::move(response));
}

void openapi(Exchange&& exchange) {
  transport::HttpResponse response;
  response.body = openapi_json(exchange.state->access.needs_key(), exchange.state->options.metrics_apart);
  exchange.finish(std::move(response));
}

// Browsers get the page; everything else that asks for the root wants to know whether the server is well.
void root(Exchange&& exchange) {
  if (exchange.request.header("accept").find("text/html") == std::string_view::npos) return health(std::move(exchange));
  exchange.finish(index_page());
}

// `openapi.json`, to be read.
void docs(Exchange&& exchange) { exchange.finish(docs_page()); }

// The same handler under several names answers several clients: the names in the comments.
constexpr Route kRoutes[] = {
    {"POST", "rerank", "rerank", handle_rerank, Key::kNeeded, "Rank documents", "RerankRequest", "RerankAnswer",
     "tei.v1.Rerank/Rerank tei.v1.Rerank/RerankStream rerank.v1.Reranker/Rerank rerank.v1.Reranker/RerankStream"},
    {"POST", "reranks", "rerank", handle_rerank, Key::kNeeded, "Rank documents (DashScope, compatible mode)",
     "RerankRequest", "RerankAnswer"},
    {"POST", "text-rerank", "rerank", handle_rerank, Key::kNeeded, "Rank documents (DashScope)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "re-rank", "rerank", handle_rerank, Key::kNeeded, "Rank documents", "RerankRequest", "RerankAnswer"},
    {"POST", "reranking", "rerank", handle_rerank, Key::kNeeded, "Rank documents (NVIDIA, Mixedbread)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "ranking", "rerank", handle_rerank, Key::kNeeded, "Rank documents (NVIDIA)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "invocations", "rerank", handle_rerank, Key::kNeeded, "Rank documents (SageMaker)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "invoke", "rerank", handle_rerank, Key::kNeeded, "Rank documents (Bedrock InvokeModel)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "rankingConfigs/*", "rerank", handle_rerank, Key::kNeeded, "Rank documents (Vertex AI)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "pipeline/text-classification", "predict", handle_rerank, Key::kNeeded,
     "Score pairs in input order (Hugging Face)", "PredictRequest", "PredictAnswer"},
    {"POST", "/", "rerank", handle_rerank, Key::kNeeded, "Rank documents (TEI), or score pairs (Hugging Face)",
     "RerankRequest", "RerankAnswer"},
    {"POST", "score", "score", handle_score, Key::kNeeded, "Score pairs in input order (vLLM)", "ScoreRequest",
     "ScoreAnswer", "rerank.v1.Reranker/Score"},
    {"POST", "predict", "predict", handle_rerank, Key::kNeeded, "Score pairs in input order (TEI)", "PredictRequest",
     "PredictAnswer",
     "tei.v1.Predict/Predict tei.v1.Predict/PredictPair tei.v1.Predict/PredictStream tei.v1.Predict/PredictPairStream"},
    {"POST", "tokenize", "tokenize", handle_tokenize, Key::kNeeded, "Tokens of texts, and where they stand (TEI)",
     "TokenizeRequest", "TokenizeAnswer", "tei.v1.Tokenize/Tokenize tei.v1.Tokenize/TokenizeStream"},
    {"POST", "decode", "decode", handle_decode, Key::kNeeded, "Text of token ids (TEI)", "DecodeRequest",
     "DecodeAnswer", "tei.v1.Tokenize/Decode tei.v1.Tokenize/DecodeStream"},
    {"GET", "health/live", "health", live, Key::kNotNeeded, "Is the process alive? (NVIDIA)", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", "health/ready", "health", health, Key::kNotNeeded, "Are requests ranked now? (NVIDIA)", nullptr, "Health",
     "", Reach::kEverywhere},
    {"GET", "health/startup", "health", health, Key::kNotNeeded, "Is the start over?", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", "health", "health", health, Key::kNotNeeded, "Are requests ranked now?", nullptr, "Health",
     "grpc.health.v1.Health/Check grpc.health.v1.Health/Watch", Reach::kEverywhere},
    {"GET", "healthz", "health", health, Key::kNotNeeded, "Are requests ranked now? (Kubernetes)", nullptr, "Health",
     "", Reach::kEverywhere},
    {"GET", "readyz", "health", health, Key::kNotNeeded, "Are requests ranked now? (Kubernetes)", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", "livez", "health", live, Key::kNotNeeded, "Is the process alive? (Kubernetes)", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", ".well-known/live", "health", live, Key::kNotNeeded, "Is the process alive? (Weaviate)", nullptr, "Health"},
    {"GET", ".well-known/ready", "health", health, Key::kNotNeeded, "Are requests ranked now? (Weaviate)", nullptr,
     "Health"},
    {"GET", "ping", "health", health, Key::kNotNeeded, "Are requests ranked now? (SageMaker)", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", "openapi.json", "openapi", openapi, Key::kNotNeeded, "This description", nullptr, "application/json",
     "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"},
    {"GET", "docs", "page", docs, Key::kNotNeeded, "This description, to be read in a browser", nullptr, "text/html"},
    {"GET", "/", "page", root, Key::kNotNeeded, "A page to try the server; health where no HTML is accepted", nullptr,
     "Health"},
    {"GET", "version", "info", version, Key::kNotNeeded, "The program's version (vLLM)", nullptr, "Version"},
    {"GET", "info", "info", info, Key::kNeeded, "Model, engine and limits (TEI)", nullptr, "Info",
     "tei.v1.Info/Info rerank.v1.Reranker/Info"},
    {"GET", "meta", "info", info, Key::kNeeded, "The same (Weaviate)", nullptr, "Info"},
    {"GET", "metrics", "metrics", metrics, Key::kNotNeeded, "Prometheus metrics", nullptr, "text/plain", "",
     Reach::kOperators},
    {"POST", "admin/models", "admin", handle_admin, Key::kAdmin, "Load, unload and rename models", "AdminRequest",
     "Models", "", Reach::kAdmin},
    {"GET", "admin/models", "admin", models, Key::kAdmin, "The models, as a list", nullptr, "Models", "",
     Reach::kAdmin},
    {"GET", "models", "models", models, Key::kNeeded, "The served model, as a list (OpenAI)", nullptr, "Models"},
    {"POST", "models/*", "predict", handle_model, Key::kNeeded,
     "Score pairs in input order (Hugging Face, KServe v2); 404 for anything else", "PredictRequest", "PredictAnswer"},
    {"GET", "models/*", "models", model, Key::kNeeded, "The served model (OpenAI, Xinference)", nullptr, "Model"},
    {"GET", "cluster/auth", "cluster_auth", cluster_auth, Key::kNotNeeded, "Is a key needed? (Xinference)", nullptr,
     "ClusterAuth"},
};

bool served_at(const Route& route, Api::Port port, const ApiOptions& options) {
  if (route.reach == Reach::kAdmin) return port == Api::Port::kMetrics && !options.admin_key.empty();
  if (port == Api::Port::kMetrics) return route.reach != Reach::kClients;
  return !options.metrics_apart || route.reach != Reach::kOperators;
}

bool method_matches(std::string_view method, std::string_view allowed) {
  return method == allowed || (method == "HEAD" && allowed == "GET");
}

// The key, under the names that clients send it by.
std::string_view credentials_of(const transport::HttpRequest& request) {
  for (const char* name : {"authorization", "x-api-key", "api-key"}) {
    if (const std::string_view value = request.header(name); !value.empty()) return value;
  }
  return {};
}

transport::HttpResponse refuse_caller(const Status& status) {
  transport::HttpResponse response = transport::error_response(status);
  if (absl::IsUnauthenticated(status)) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

// OPTIONS: what is allowed here, also in the words of a browser that asks before a page's request.
transport::HttpResponse allowed_methods(const Exchange& exchange, const std::string& allowed) {
  transport::HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.headers.emplace_back("Allow", allowed + ", OPTIONS");
  if (!exchange.cors.empty()) {
    response.headers.emplace_back("Access-Control-Allow-Methods", allowed + ", OPTIONS");
    response.headers.emplace_back("Access-Control-Allow-Headers",
                                  exchange.request.header("access-control-request-headers"));
    response.headers.emplace_back("Access-Control-Max-Age", "86400");
  }
  return response;
}

bool is_route(std::string_view path) {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes),
                     [&](const Route& route) { return path_matches(path, route.pattern); });
}

// "/models/NAME/v1/rerank" is "/v1/rerank" of the model NAME, which may hold a slash as hub ids do. A name that nobody
// has is one where something is asked of it. What has a meaning of its own under /models/ (KServe's, Hugging Face's)
// keeps its path.
void take_model(Exchange& exchange) {
  constexpr std::string_view kSegment = "/models/";
  const size_t segment = exchange.path.find(kSegment);
  if (segment == std::string::npos) return;
  const size_t begin = segment + kSegment.size();
  size_t end = exchange.path.find('/', begin);
  const size_t first = end;
  for (int parts = 0; parts < 2; ++parts) {
    const std::string name = exchange.path.substr(begin, end == std::string::npos ? end : end - begin);
    if (exchange.state->catalog->knows(name)) {
      exchange.path_model = name;
      if (end == std::string::npos) return;
      std::string rest = exchange.path.substr(0, segment) + exchange.path.substr(end);
      if (is_route(rest)) exchange.path = std::move(rest);
      return;
    }
    if (end == std::string::npos) break;
    end = exchange.path.find('/', end + 1);
  }
  if (exchange.request.method == "POST") exchange.path_model = exchange.path.substr(begin, first - begin);
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

const Route* route_of_method(std::string_view method) {
  for (const Route& route : kRoutes) {
    for (std::string_view rest = route.methods; !rest.empty();) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (rest.substr(0, end) == method) return &route;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return nullptr;
}

Api::Api(Reranker& reranker, std::shared_ptr<Metrics> metrics, const ApiOptions& options)
    : Api(transport::catalog_of(reranker), std::move(metrics), options) {}

Api::Api(std::shared_ptr<Catalog> catalog, std::shared_ptr<Metrics> metrics, const ApiOptions& options)
    : state_(
          std::make_shared<State>(State{std::move(catalog), metrics, options,
                                        transport::Access(options.key_ring(), options.cors_origins, options.local),
                                        transport::Access(std::make_shared<transport::KeyRing>(options.admin_key), ""),
                                        observe::RequestMetrics(std::move(metrics))})) {}

std::optional<std::string> Api::client_of(const transport::HttpRequest& request) const {
  const transport::Access& access = state_->access;
  if (!access.needs_key()) return "";
  const std::string key = access.key_of(credentials_of(request), request.peer);
  if (key.empty()) return std::nullopt;
  return transport::client_of_key(key);
}

bool Api::is_probe(const transport::HttpRequest& request) const {
  const std::string path = normalise_path(request.target);
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [&](const Route& route) {
    return route.label == std::string_view("health") && path_matches(path, route.pattern);
  });
}

void Api::handle(transport::HttpRequest&& request, Done done, Port port) {
  Exchange exchange{state_, std::move(request), {}, std::move(done), {}};
  exchange.record.peer = exchange.request.peer;
  exchange.record.id = observe::request_id_of(exchange.request.header("x-request-id"));
  exchange.record.method = exchange.request.method.substr(0, observe::RequestRecord::kMostText);
  exchange.record.agent = exchange.request.header("user-agent").substr(0, observe::RequestRecord::kMostText);
  exchange.path = normalise_path(exchange.request.target);
  exchange.record.path = exchange.path.empty() ? "/" : exchange.path.substr(0, observe::RequestRecord::kMostText);
  take_model(exchange);
  if (const auto trace = observe::parse_traceparent(exchange.request.header("traceparent")))
    exchange.record.trace = *trace;
  exchange.cors = state_->access.cors_headers(exchange.request.header("origin"));
  std::string allowed;
  for (const Route& route : kRoutes) {
    if (!served_at(route, port, state_->options)) continue;
    if (!path_matches(exchange.path, route.pattern)) continue;
    if (method_matches(exchange.request.method, route.method)) {
      exchange.record.label = route.label;
      exchange.record.ranks = route.ranks();
      if (route.key != Key::kNotNeeded) {
        const transport::Access& access = route.key == Key::kAdmin ? state_->admins : state_->access;
        const transport::HttpRequest& asked = exchange.request;
        const Status page = access.check_page(asked);
        if (!page.ok()) return exchange.finish(transport::error_response(page));
        const Result<transport::KeyRule> caller = access.admit(credentials_of(asked), asked.peer);
        if (!caller.ok()) {
          exchange.record.rate_limited = transport::kind_of(caller.status()) == transport::ErrorKind::kRateLimited;
          return exchange.finish(refuse_caller(caller.status()));
        }
        if (asked.unread) {  // a guesser of the same address was refused a moment ago, and is not now
          return exchange.finish(refuse_caller(transport::make_error(
              transport::ErrorKind::kRateLimited, "too many wrong keys from this address; try again")));
        }
        exchange.priority = caller->priority;
        exchange.record.key = caller->name;
      }
      return route.handler(std::move(exchange));
    }
    const std::string methods = route.method == std::string_view("GET") ? "GET, HEAD" : route.method;
    if (allowed.find(methods) == std::string::npos) allowed += (allowed.empty() ? "" : ", ") + methods;
  }
  const bool options = exchange.request.method == "OPTIONS";
  if (options && exchange.request.target == "*") allowed = "GET, HEAD, POST";  // the server as a whole
  const bool asks = options && !allowed.empty();
  exchange.finish(asks ? allowed_methods(exchange, allowed) : no_route(allowed));
}

}  // namespace rerank::api
