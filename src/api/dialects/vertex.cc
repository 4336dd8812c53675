// Vertex AI's ranking: {"query", "records": [{"id", "title"?, "content"?}], "topN"} -> {"records": [{"id", "title",
// "content", "score"}]}, best first; with ignoreRecordDetailsInResponse only id and score.
#include "api/dialect.h"

namespace rerank::api {
namespace {

bool matches(const transport::Body& body, const transport::HttpRequest&) { return body.has("records"); }

std::string optional_text(transport::Body& body, const JsonField& field) {
  return field.is_null() ? std::string() : read_string(body, field);
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  call.request.query = body.text("query");
  for (const JsonField& record : read_items(body, "records", limits.max_documents)) {
    if (!record.is_object()) body.fail(record.expected("an object"));
    if (!body.status().ok()) return;
    call.ids.push_back(optional_text(body, record.at("id")));
    call.titles.push_back(optional_text(body, record.at("title")));
    std::string text = optional_text(body, record.at("content"));
    if (!call.titles.back().empty()) text = call.titles.back() + "\n" + text;
    call.request.documents.push_back(std::move(text));
  }
  call.request.top_n = call.asked = body.positive("topN");
  call.return_documents = !body.flag("ignoreRecordDetailsInResponse", false);
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo&, transport::HttpResponse& response) {
  JsonWriter json;
  json.begin_object();
  json.key("records").begin_array();
  for (const RankedDocument& document : result.results) {
    const std::string& title = call.titles[document.index];
    json.begin_object();
    json.field("id", call.ids[document.index]);
    if (call.return_documents) {
      const std::string_view text = call.request.documents[document.index];
      if (!title.empty()) json.field("title", title);
      json.field("content", text.substr(title.empty() ? 0 : title.size() + 1));
    }
    json.field("score", document.score);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kVertexDialect = {"vertex", transport::ErrorShape::kCommon, matches, read, write};

}  // namespace rerank::api
