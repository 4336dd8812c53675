// TEI's /tokenize: {"inputs": string | [string, ...], "add_special_tokens"} -> [[{"id", "text", "special", ...}, ...],
// ...].
#include <string>
#include <vector>

#include "api/body.h"
#include "api/errors.h"
#include "api/exchange.h"
#include "api/json_out.h"

namespace rerank {
namespace {

constexpr size_t kMaxBytes = 1u << 20;  // it runs on the I/O thread

void write_tokens(JsonWriter& json, const std::vector<Token>& tokens) {
  json.begin_array();
  for (const Token& token : tokens) {
    json.begin_object();
    json.field("id", int64_t{token.id});
    json.field("text", repair_text(token.text, /*escapes=*/false));  // byte-level tokens may hold half a character
    json.field("special", token.special);
    json.key("start").null();  // TEI leaves them out where it does not know, too
    json.key("stop").null();
    json.end_object();
  }
  json.end_array();
}

}  // namespace

void handle_tokenize(Exchange&& exchange) {
  const auto refuse = [&](const Status& status) { exchange.finish(error_response(status, ErrorShape::kTei)); };
  if (exchange.request.body.size() > kMaxBytes) {
    return refuse(make_error(ErrorKind::kInvalid, "the body is larger than 1 MiB: tokenize fewer texts at once"));
  }
  Result<Body> body = Body::parse(exchange.request.body);
  if (!body.ok()) return refuse(body.status());
  const std::vector<std::string> texts = body->texts("inputs", exchange.state->options.max_documents);
  const bool special = body->flag("add_special_tokens", true);
  if (!body->status().ok()) return refuse(body->status());
  JsonWriter json;
  json.begin_array();
  for (const std::string& text : texts) write_tokens(json, exchange.state->reranker.tokenize(text, special));
  json.end_array();
  HttpResponse response;
  response.body = json.take();
  exchange.finish(std::move(response));
}

}  // namespace rerank
