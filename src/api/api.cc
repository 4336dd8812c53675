#include "api/api.h"

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "api/errors.h"
#include "api/exchange.h"
#include "api/pages.h"
#include "api/path.h"

namespace rerank {

namespace {

using Handler = void (*)(Exchange&& exchange);

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

enum class Key { kNeeded, kNotNeeded };

struct Route {
  const char* method;   // GET also serves HEAD
  const char* pattern;  // as for path_matches()
  const char* label;    // in metrics
  Handler handler;
  Key key = Key::kNeeded;  // where --api-key is set
};

// The first row whose pattern and method fit is taken. Any prefix may stand before a pattern: /v1, /v2, a proxy's path.
constexpr Route kRoutes[] = {
    {"POST", "rerank", "rerank", handle_rerank},
    {"POST", "reranking", "rerank", handle_rerank},           // NVIDIA, Mixedbread
    {"POST", "ranking", "rerank", handle_rerank},             // NVIDIA
    {"POST", "invocations", "rerank", handle_rerank},         // SageMaker
    {"POST", "/", "rerank", handle_rerank},                   // TEI
    {"POST", "score", "score", handle_score},                 // vLLM
    {"POST", "predict", "predict", handle_predict},           // TEI
    {"POST", "tokenize", "tokenize", handle_tokenize},        // TEI
    {"GET", "health/live", "health", live, Key::kNotNeeded},  // NVIDIA, and the next
    {"GET", "health/ready", "health", health, Key::kNotNeeded},
    {"GET", "health", "health", health, Key::kNotNeeded},
    {"GET", "ping", "health", health, Key::kNotNeeded},  // SageMaker
    {"GET", "/", "health", health, Key::kNotNeeded},
    {"GET", "info", "info", info},  // TEI
    {"GET", "metrics", "metrics", metrics, Key::kNotNeeded},
    {"GET", "models", "models", models},                                     // OpenAI
    {"GET", "models/*", "models", model},                                    // OpenAI, Xinference
    {"GET", "cluster/auth", "cluster_auth", cluster_auth, Key::kNotNeeded},  // Xinference
};

bool method_matches(std::string_view method, std::string_view allowed) {
  return method == allowed || (method == "HEAD" && allowed == "GET");
}

HttpResponse unauthorized() {
  HttpResponse response = error_response(
      make_error(ErrorKind::kUnauthorized, "a valid API key is required: send it as \"Authorization: Bearer <key>\""));
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
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

Api::Api(Reranker& reranker, std::shared_ptr<Metrics> metrics, const ApiOptions& options)
    : state_(std::make_shared<State>(State{reranker, metrics, options, Access(options.api_keys, options.cors_origins),
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
      if (route.key == Key::kNeeded && !state_->access.allows(exchange.request)) return exchange.finish(unauthorized());
      return route.handler(std::move(exchange));
    }
    if (allowed.find(route.method) == std::string::npos)
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
  }
  const bool asks = exchange.request.method == "OPTIONS" && !allowed.empty();
  exchange.finish(asks ? allowed_methods(exchange, allowed) : no_route(allowed));
}

}  // namespace rerank
