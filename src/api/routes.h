// The one table of routes: what is served, by whom, and how it is described. Drives the dispatch (api.cc), the OpenAPI
// description (openapi.cc) and the message of a path that is not there.
#pragma once

#include <span>

#include "api/exchange.h"

namespace rerank {

enum class Key { kNeeded, kNotNeeded };  // where API keys are set

struct Route {
  const char* method;   // GET also serves HEAD
  const char* pattern;  // as for path_matches(); any prefix may stand before it: /v1, /v2, a proxy's path
  const char* label;    // in metrics
  void (*handler)(Exchange&& exchange);
  Key key;
  const char* summary;
  const char* request;  // schema of openapi_schemas.json; null: no body
  const char* answer;   // schema, or a media type where it is no JSON
};

// In order: the first row whose pattern and method fit is taken.
std::span<const Route> routes();

// The OpenAPI 3.1 description of routes(), as JSON.
std::string openapi_json(bool needs_key);

}  // namespace rerank
