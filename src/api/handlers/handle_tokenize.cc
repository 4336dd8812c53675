// TEI's /tokenize: {"inputs": string | [string, ...], "add_special_tokens"} -> [[{"id", "text", "special", "start",
// "stop"}, ...], ...], and the way back, /decode: {"ids": [id, ...] | [[id, ...], ...], "skip_special_tokens"} ->
// [string,
// ...].
#include <string>
#include <vector>

#include "api/exchange.h"
#include "base/json/writer.h"
#include "transport/body.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

// A token takes some 100 bytes while it is told, and a byte may be several tokens.
constexpr size_t kMaxBytes = 256u << 10;

// As TEI has it: a token's text is the part of the input that it stands for, and its place counts bytes. False: `json`
// is longer than `limit`, and unfinished.
bool write_tokens(JsonWriter& json, std::string_view text, const std::vector<Token>& tokens, size_t limit) {
  json.begin_array();
  for (const Token& token : tokens) {
    if (json.size() > limit) return false;
    json.begin_object();
    json.field("id", int64_t{token.id});
    if (const auto& place = token.place) {
      json.field("text", repair_text(text.substr(place->begin, place->end - place->begin), /*escapes=*/false));
      json.field("special", token.special);
      json.field("start", uint64_t{place->begin});
      json.field("stop", uint64_t{place->end});
    } else {
      json.field("text", repair_text(token.text, /*escapes=*/false));
      json.field("special", token.special);
      json.key("start").null();
      json.key("stop").null();
    }
    json.end_object();
  }
  json.end_array();
  return json.size() <= limit;
}

// The body, if it is one that may be worked on here.
Result<transport::Body> parse_small(transport::HttpRequest& request) {
  if (request.body.size() > kMaxBytes) {
    return transport::make_error(transport::ErrorKind::kInvalid,
                                 "the body is larger than 256 KiB: send fewer texts at once");
  }
  return transport::Body::parse(request.body);
}

void answer(Exchange& exchange, JsonWriter& json) {
  transport::HttpResponse response;
  response.body = json.take();
  exchange.finish(std::move(response));
}

}  // namespace

void handle_tokenize(Exchange&& exchange) {
  Result<transport::Body> body = parse_small(exchange.request);
  if (!body.ok()) return exchange.refuse(body.status(), transport::ErrorShape::kTei);
  const std::vector<std::string> texts = body->texts("inputs", exchange.state->options.max_documents);
  const bool special = body->flag("add_special_tokens", true);
  if (!body->status().ok()) return exchange.refuse(body->status(), transport::ErrorShape::kTei);
  if (Status chosen = exchange.choose(*body, "", /*wait=*/false); !chosen.ok())
    return exchange.refuse(chosen, transport::ErrorShape::kTei);
  JsonWriter json;
  json.begin_array();
  for (const std::string& text : texts) {
    if (write_tokens(json, text, exchange.model->tokenize(text, special), exchange.state->options.max_text_bytes))
      continue;
    return exchange.refuse(
        transport::make_error(transport::ErrorKind::kBodyTooLarge,
                              "the answer would be larger than --max-body-bytes: send fewer texts at once"),
        transport::ErrorShape::kTei);
  }
  json.end_array();
  answer(exchange, json);
}

void handle_decode(Exchange&& exchange) {
  Result<transport::Body> body = parse_small(exchange.request);
  if (!body.ok()) return exchange.refuse(body.status(), transport::ErrorShape::kTei);
  const auto lists = body->ids("ids", exchange.state->options.max_documents);
  const bool skip_special = body->flag("skip_special_tokens", true);
  if (!body->status().ok()) return exchange.refuse(body->status(), transport::ErrorShape::kTei);
  if (Status chosen = exchange.choose(*body, "", /*wait=*/false); !chosen.ok())
    return exchange.refuse(chosen, transport::ErrorShape::kTei);
  JsonWriter json;
  json.begin_array();
  for (const std::vector<int32_t>& ids : lists) {
    const Result<std::string> text = exchange.model->decode(ids, skip_special);
    if (!text.ok()) return exchange.refuse(text.status(), transport::ErrorShape::kTei);
    json.value(repair_text(*text, /*escapes=*/false));
  }
  json.end_array();
  answer(exchange, json);
}

}  // namespace rerank::api
