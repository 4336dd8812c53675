// KServe's v2 protocol (Open Inference Protocol): {"id"?, "inputs": [{"name": "query", "datatype": "BYTES", "shape":
// [1], "data": [string]}, {"name": "documents", "data": [string, ...], ...}]} -> {"model_name", "id"?, "outputs":
// [{"name": "scores", "datatype": "FP32", "shape": [n], "data": [score, ...]}]}, in input order. One query for all
// documents, or one each. Binary tensors are not read.
#include "absl/strings/str_format.h"
#include "api/dialect.h"

namespace rerank::api {
namespace {

constexpr size_t kMostTensors = 16;

bool matches(const transport::Body& body, const transport::HttpRequest&) {
  const JsonField inputs = body.at("inputs");
  simdjson::dom::element first;
  if (!inputs.is_array() || simdjson::dom::array(inputs.element()).at(0).get(first)) return false;
  return !JsonField(first, "").at("datatype").missing();
}

std::vector<std::string> read_tensor(transport::Body& body, const JsonField& tensor, size_t limit) {
  std::vector<std::string> texts;
  const JsonField data = tensor.at("data");
  if (!data.is_array()) {
    body.fail(data.expected("an array of strings"));
    return texts;
  }
  const simdjson::dom::array array = data.element();
  size_t count = 0;
  for (auto item = array.begin(); item != array.end(); ++item) ++count;
  body.fail(transport::check_count(data.where(), count, limit));
  for (const simdjson::dom::element item : array) {
    if (!body.status().ok()) break;
    texts.push_back(read_string(body, JsonField(item, data.where())));
  }
  return texts;
}

void read(transport::Body& body, const DialectLimits& limits, RerankCall& call) {
  for (const JsonField& tensor : read_items(body, "inputs", kMostTensors)) {
    const std::string name = read_string(body, tensor.at("name"));
    if (!body.status().ok()) return;
    if (name == "query" || name == "queries" || name == "text") {
      call.queries = read_tensor(body, tensor, limits.max_documents);
    } else if (name == "documents" || name == "texts" || name == "passages" || name == "text_pair") {
      call.request.documents = read_tensor(body, tensor, limits.max_documents);
    }
  }
  const size_t queries = call.queries.size();
  if (queries == 0 || call.request.documents.empty() || (queries != 1 && queries != call.request.documents.size())) {
    body.fail(transport::make_error(transport::ErrorKind::kInvalid,
                                    "`inputs` must have a tensor `query`, with one text or as many as there are "
                                    "documents, and a tensor `documents`, both BYTES"));
  }
  read_scale(body, "parameters.raw_scores", call);
  if (body.kind("id") == transport::Body::Kind::kText) call.ids.push_back(body.word("id"));
}

void write(const RerankCall& call, const RerankResponse& result, const ModelInfo& model,
           transport::HttpResponse& response) {
  const std::vector<float> scores = scores_in_input_order(result);
  JsonWriter json;
  json.begin_object();
  json.field("model_name", model.id);
  if (!call.ids.empty()) json.field("id", call.ids.front());
  json.key("outputs").begin_array().begin_object();
  json.field("name", "scores");
  json.field("datatype", "FP32");
  json.key("shape").begin_array().value(uint64_t{scores.size()}).end_array();
  json.key("data").begin_array();
  for (const float score : scores) json.value(score);
  json.end_array();
  json.end_object().end_array();
  json.end_object();
  response.body = json.take();
}

}  // namespace

const Dialect kKserveDialect = {"kserve", transport::ErrorShape::kTei, matches, read, write, true};

}  // namespace rerank::api
