#include "api/api.h"

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "api/errors.h"
#include "api/exchange.h"
#include "api/pages.h"
#include "api/path.h"
#include "api/routes.h"

namespace rerank {

namespace {

void health(Exchange&& exchange) { exchange.finish(health_page(exchange.state->reranker.ready())); }

void live(Exchange&& exchange) { exchange.finish(health_page(true)); }

void info(Exchange&& exchange) { exchange.finish(info_page(exchange.state->reranker.info(), exchange.state->options)); }

void models(Exchange&& exchange) { exchange.finish(models_page(exchange.state->reranker.info())); }

void model(Exchange&& exchange) { exchange.finish(model_page(exchange.state->reranker.info())); }

void cluster_auth(Exchange&& exchange) { exchange.finish(cluster_auth_page(exchange.state->access.needs_key())); }

void metrics(Exchange&& exchange) {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  if (exchange.state->metrics) response.body = exchange.state->metrics->to_text();
  exchange.finish(std::move(response));
}

void openapi(Exchange&& exchange) {
  HttpResponse response;
  response.body = openapi_json(exchange.state->access.needs_key());
  exchange.finish(std::move(response));
}

// Browsers get the page; everything else that asks for the root wants to know whether the server is well.
void root(Exchange&& exchange) {
  if (exchange.request.header("accept").find("text/html") == std::string_view::npos) return health(std::move(exchange));
  exchange.finish(index_page());
}

// The same handler under several names answers several clients: the names in the comments.
constexpr Route kRoutes[] = {
    {"POST", "rerank", "rerank", handle_rerank, Key::kNeeded, "Rank documents", "RerankRequest", "RerankAnswer"},
    {"POST", "reranking", "rerank", handle_rerank, Key::kNeeded, "Rank documents (NVIDIA, Mixedbread)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "ranking", "rerank", handle_rerank, Key::kNeeded, "Rank documents (NVIDIA)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "invocations", "rerank", handle_rerank, Key::kNeeded, "Rank documents (SageMaker)", "RerankRequest",
     "RerankAnswer"},
    {"POST", "/", "rerank", handle_rerank, Key::kNeeded, "Rank documents (TEI)", "RerankRequest", "RerankAnswer"},
    {"POST", "score", "score", handle_score, Key::kNeeded, "Score pairs in input order (vLLM)", "ScoreRequest",
     "ScoreAnswer"},
    {"POST", "predict", "predict", handle_predict, Key::kNeeded, "Score pairs in input order (TEI)", "PredictRequest",
     "PredictAnswer"},
    {"POST", "tokenize", "tokenize", handle_tokenize, Key::kNeeded, "Token ids of texts (TEI)", "TokenizeRequest",
     "TokenizeAnswer"},
    {"POST", "decode", "decode", handle_decode, Key::kNeeded, "Text of token ids (TEI)", "DecodeRequest", "DecodeAnswer"},
    {"GET", "health/live", "health", live, Key::kNotNeeded, "Is the process alive? (NVIDIA)", nullptr, "Health"},
    {"GET", "health/ready", "health", health, Key::kNotNeeded, "Are requests ranked now? (NVIDIA)", nullptr, "Health"},
    {"GET", "health", "health", health, Key::kNotNeeded, "Are requests ranked now?", nullptr, "Health"},
    {"GET", "ping", "health", health, Key::kNotNeeded, "Are requests ranked now? (SageMaker)", nullptr, "Health"},
    {"GET", "openapi.json", "openapi", openapi, Key::kNotNeeded, "This description", nullptr, "application/json"},
    {"GET", "/", "page", root, Key::kNotNeeded, "A page to try the server; health where no HTML is accepted", nullptr,
     "Health"},
    {"GET", "info", "info", info, Key::kNeeded, "Model, engine and limits (TEI)", nullptr, "Info"},
    {"GET", "metrics", "metrics", metrics, Key::kNotNeeded, "Prometheus metrics", nullptr, "text/plain"},
    {"GET", "models", "models", models, Key::kNeeded, "The served model, as a list (OpenAI)", nullptr, "Models"},
    {"GET", "models/*", "models", model, Key::kNeeded, "The served model (OpenAI, Xinference)", nullptr, "Model"},
    {"GET", "cluster/auth", "cluster_auth", cluster_auth, Key::kNotNeeded, "Is a key needed? (Xinference)", nullptr,
     "ClusterAuth"},
};

bool method_matches(std::string_view method, std::string_view allowed) {
  return method == allowed || (method == "HEAD" && allowed == "GET");
}

HttpResponse refuse_caller(const Status& status) {
  if (!absl::IsUnauthenticated(status)) return error_response(status);
  HttpResponse response = error_response(
      make_error(ErrorKind::kUnauthorized, "a valid API key is required: send it as \"Authorization: Bearer <key>\""));
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

// Keys of the option alone are always well formed.
std::shared_ptr<KeyRing> keys_of(const ApiOptions& options) {
  return options.keys ? options.keys : std::shared_ptr<KeyRing>(*KeyRing::open(options.api_keys, ""));
}

// OPTIONS: what is allowed here, also in the words of a browser that asks before a page's request.
HttpResponse allowed_methods(const Exchange& exchange, const std::string& allowed) {
  HttpResponse response;
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

HttpResponse no_route(std::string_view allowed) {
  if (allowed.empty()) {
    return error_response(make_error(
        ErrorKind::kNotFound, "Not Found: rerankd serves POST /rerank, GET /info, /health, /v1/models and /metrics"));
  }
  HttpResponse response =
      error_response(make_error(ErrorKind::kMethod, absl::StrFormat("Method Not Allowed: use %s here", allowed)));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Api::Api(Reranker& reranker, std::shared_ptr<Metrics> metrics, const ApiOptions& options)
    : state_(std::make_shared<State>(State{reranker, metrics, options, Access(keys_of(options), options.cors_origins),
                                           RequestMetrics(metrics)})) {}

void Api::handle(HttpRequest&& request, Done done) {
  Exchange exchange{state_, std::move(request), {}, "none", std::move(done), {}};
  exchange.path = normalise_path(exchange.request.target);
  exchange.cors = state_->access.cors_headers(exchange.request);
  std::string allowed;
  for (const Route& route : kRoutes) {
    if (!path_matches(exchange.path, route.pattern)) continue;
    if (method_matches(exchange.request.method, route.method)) {
      exchange.label = route.label;
      if (route.key == Key::kNeeded) {
        const Result<KeyRule> caller = state_->access.admit(exchange.request);
        if (!caller.ok()) return exchange.finish(refuse_caller(caller.status()));
        exchange.priority = caller->priority;
      }
      return route.handler(std::move(exchange));
    }
    const std::string methods = route.method == std::string_view("GET") ? "GET, HEAD" : route.method;
    if (allowed.find(methods) == std::string::npos) allowed += (allowed.empty() ? "" : ", ") + methods;
  }
  const bool asks = exchange.request.method == "OPTIONS" && !allowed.empty();
  exchange.finish(asks ? allowed_methods(exchange, allowed) : no_route(allowed));
}

}  // namespace rerank
