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

namespace rerank::api {

namespace {

void health(Exchange&& exchange) {
  exchange.finish(health_page(exchange.state->reranker.ready() && !*exchange.state->options.grpc_failed));
}

void live(Exchange&& exchange) { exchange.finish(health_page(true)); }

void info(Exchange&& exchange) { exchange.finish(info_page(exchange.state->reranker.info(), exchange.state->options)); }

void models(Exchange&& exchange) { exchange.finish(models_page(exchange.state->reranker.info())); }

void model(Exchange&& exchange) { exchange.finish(model_page(exchange.state->reranker.info())); }

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
    {"GET", "health", "health", health, Key::kNotNeeded, "Are requests ranked now?", nullptr, "Health",
     "grpc.health.v1.Health/Check grpc.health.v1.Health/Watch", Reach::kEverywhere},
    {"GET", ".well-known/live", "health", live, Key::kNotNeeded, "Is the process alive? (Weaviate)", nullptr, "Health"},
    {"GET", ".well-known/ready", "health", health, Key::kNotNeeded, "Are requests ranked now? (Weaviate)", nullptr,
     "Health"},
    {"GET", "ping", "health", health, Key::kNotNeeded, "Are requests ranked now? (SageMaker)", nullptr, "Health", "",
     Reach::kEverywhere},
    {"GET", "openapi.json", "openapi", openapi, Key::kNotNeeded, "This description", nullptr, "application/json",
     "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"},
    {"GET", "/", "page", root, Key::kNotNeeded, "A page to try the server; health where no HTML is accepted", nullptr,
     "Health"},
    {"GET", "info", "info", info, Key::kNeeded, "Model, engine and limits (TEI)", nullptr, "Info",
     "tei.v1.Info/Info rerank.v1.Reranker/Info"},
    {"GET", "meta", "info", info, Key::kNeeded, "The same (Weaviate)", nullptr, "Info"},
    {"GET", "metrics", "metrics", metrics, Key::kNotNeeded, "Prometheus metrics", nullptr, "text/plain", "",
     Reach::kOperators},
    {"GET", "models", "models", models, Key::kNeeded, "The served model, as a list (OpenAI)", nullptr, "Models"},
    {"POST", "models/*", "predict", handle_model, Key::kNeeded,
     "Score pairs in input order (Hugging Face, KServe v2); 404 for anything else", "PredictRequest", "PredictAnswer"},
    {"GET", "models/*", "models", model, Key::kNeeded, "The served model (OpenAI, Xinference)", nullptr, "Model"},
    {"GET", "cluster/auth", "cluster_auth", cluster_auth, Key::kNotNeeded, "Is a key needed? (Xinference)", nullptr,
     "ClusterAuth"},
};

bool served_at(const Route& route, Api::Port port, bool metrics_apart) {
  if (port == Api::Port::kMetrics) return route.reach != Reach::kClients;
  return !metrics_apart || route.reach != Reach::kOperators;
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
    : state_(std::make_shared<State>(State{reranker, metrics, options,
                                           transport::Access(options.key_ring(), options.cors_origins, options.local),
                                           observe::RequestMetrics(metrics)})) {}

void Api::handle(transport::HttpRequest&& request, Done done, Port port) {
  Exchange exchange{state_, std::move(request), {}, std::move(done), {}};
  exchange.record.peer = exchange.request.peer;
  exchange.path = normalise_path(exchange.request.target);
  if (const auto trace = observe::parse_traceparent(exchange.request.header("traceparent")))
    exchange.record.trace = *trace;
  exchange.cors = state_->access.cors_headers(exchange.request.header("origin"));
  std::string allowed;
  for (const Route& route : kRoutes) {
    if (!served_at(route, port, state_->options.metrics_apart)) continue;
    if (!path_matches(exchange.path, route.pattern)) continue;
    if (method_matches(exchange.request.method, route.method)) {
      exchange.record.label = route.label;
      exchange.record.ranks = route.ranks();
      if (route.key == Key::kNeeded) {
        const transport::HttpRequest& asked = exchange.request;
        const Status page = state_->access.check_page(asked);
        if (!page.ok()) return exchange.finish(transport::error_response(page));
        const Result<transport::KeyRule> caller = state_->access.admit(credentials_of(asked), asked.peer);
        if (!caller.ok()) return exchange.finish(refuse_caller(caller.status()));
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
