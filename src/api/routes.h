// The one table of routes: what is served, by whom, and how it is described. Drives the dispatch (api.cc; rpc/call.cc
// for gRPC), the OpenAPI description (openapi.cc) and docs/routes.md (routes_page.cc).
#pragma once

#include <span>

#include "api/exchange.h"

namespace rerank::api {

// Where API keys are set; kAdmin: the admin's alone, always.
enum class Key { kNeeded, kNotNeeded, kAdmin };

// Where a route is served when there is a metrics address beside the main one; kAdmin: there only, and where there is
// an admin key.
enum class Reach { kClients, kEverywhere, kOperators, kAdmin };

struct Route {
  const char* method;   // GET also serves HEAD
  const char* pattern;  // as for path_matches(); any prefix may stand before it: /v1, /v2, a proxy's path
  const char* label;    // in metrics
  void (*handler)(Exchange&& exchange);
  Key key;
  const char* summary;
  const char* request;  // schema of openapi_schemas.json; null: no body
  const char* answer;   // schema, or a media type where it is no JSON
  // The gRPC methods that do the same ("package.Service/Method"), separated by blanks.
  const char* methods = "";
  Reach reach = Reach::kClients;

  bool ranks() const { return handler == handle_rerank || handler == handle_model || handler == handle_score; }
};

// In order: the first row whose pattern and method fit is taken.
std::span<const Route> routes();

// The row of a gRPC method; null where it has none, which a test of `rpc` excludes.
const Route* route_of_method(std::string_view method);

// The tables of routes and errors as docs/routes.md.
std::string routes_markdown();

// The OpenAPI 3.1 description of routes(), as JSON. `metrics_apart`: without what is served at the metrics address
// only.
std::string openapi_json(bool needs_key, bool metrics_apart = false);

}  // namespace rerank::api
