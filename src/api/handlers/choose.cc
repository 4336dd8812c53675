// Which model a request is for.
#include <string>

#include "api/exchange.h"
#include "base/status_macros.h"

namespace rerank::api {

Status Exchange::choose(transport::Body& body, std::string_view query, bool wait) {
  std::string named;
  // Clients send what they like here, also numbers and null: only a name is one.
  if (path_model.empty() && body.kind("model") == transport::Body::Kind::kText) named = body.word("model");
  ASSIGN_OR_RETURN(model, state->catalog->find({path_model.empty() ? named : path_model, query, wait}));
  return ok_status();
}

}  // namespace rerank::api
