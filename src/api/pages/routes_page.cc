// docs/routes.md: the tables of routes and errors, for people.
#include <string>

#include "api/routes.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

std::string path_of(const Route& route) {
  if (std::string_view(route.pattern) == "/") return "/";
  return std::string(".../") + route.pattern;
}

std::string methods_of(const Route& route) {
  std::string text;
  for (const char c : std::string_view(route.methods)) text += c == ' ' ? std::string("`<br>`") : std::string(1, c);
  return text.empty() ? text : "`" + text + "`";
}

const char* reach_of(const Route& route) {
  if (route.reach == Reach::kClients) return "";
  if (route.reach == Reach::kAdmin) return "there only";
  return route.reach == Reach::kEverywhere ? "and there" : "there instead";
}

}  // namespace

std::string routes_markdown() {
  std::string text =
      "# Routes and errors\n\nMade by `rerankd routes` from the tables that the server itself runs on. What the fields "
      "mean: "
      "[http-api.md](http-api.md); gRPC: [grpc.md](grpc.md).\n\n## Routes\n\n`.../` stands for any prefix or none, `*` "
      "for "
      "a name. GET also answers HEAD; OPTIONS tells a path's methods. The first row that fits is taken. *Key*: where "
      "keys are "
      "set, one is needed. *Metrics address*: what `--read-only-metrics-address` serves.\n\n"
      "| method | path | what | key | metrics address | gRPC methods that do the same |\n|---|---|---|---|---|---|\n";
  for (const Route& route : routes()) {
    text += std::string("| ") + route.method + " | `" + path_of(route) + "` | " + route.summary + " | " +
            (route.key == Key::kNeeded  ? "yes"
             : route.key == Key::kAdmin ? "`--admin-key`"
                                        : "") +
            " | " + reach_of(route) + " | " + methods_of(route) + " |\n";
  }
  text +=
      "\n## Errors\n\nTEI requests get `{\"error\": \"<message>\", \"error_type\": \"<type>\"}`; all others "
      "`{\"error\": "
      "{\"message\", \"type\", \"code\"}, \"message\", \"detail\"}`, with the same text three times, for clients that "
      "look in "
      "different places. Where a row says when to come back, HTTP has `Retry-After` and gRPC "
      "`grpc-retry-pushback-ms`.\n\n";
  return text + transport::errors_markdown();
}

}  // namespace rerank::api
