#include "api/pages/pages.h"

#include <algorithm>

#include "api/pages/web/embedded.h"
#include "base/json/writer.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

void write_labels(JsonWriter& json, const ModelInfo& model) {
  json.begin_object();
  json.key("id2label").begin_object().field("0", model.label).end_object();
  json.key("label2id").begin_object().field(model.label, uint64_t{0}).end_object();
  json.end_object();
}

void write_model(JsonWriter& json, const ModelInfo& model) {
  json.begin_object();
  json.field("id", model.id);
  json.field("object", "model");
  json.field("created", uint64_t{0});
  json.field("owned_by", "rerankd");
  json.field("model_type", "rerank");  // Xinference's clients look at it
  json.field("model_name", model.id);
  json.field("max_model_len", uint64_t{model.max_length});
  json.field("context_length", uint64_t{model.max_length});
  json.end_object();
}

transport::HttpResponse page(JsonWriter& json) {
  transport::HttpResponse response;
  response.body = json.take();
  return response;
}

// Also TEI's names, where they differ.
std::string dtype_of(const ModelInfo& model) {
  if (model.precision == "fp32") return "float32";
  if (model.precision == "bf16") return "bfloat16";
  if (model.precision == "fp16") return "float16";
  return model.precision;
}

}  // namespace

transport::HttpResponse health_page(bool ready) {
  if (!ready) {
    return transport::error_response(
        transport::make_error(transport::ErrorKind::kUnavailable, "unhealthy: starting, stopping, or the engine fails"),
        transport::ErrorShape::kTei);
  }
  JsonWriter json;
  json.begin_object().field("status", "ok").end_object();
  return page(json);
}

transport::HttpResponse info_page(const ModelInfo& model, const ApiOptions& options) {
  JsonWriter json;
  json.begin_object();
  json.field("model_id", model.id);
  json.key("model_sha").null();
  json.field("model_dtype", dtype_of(model));
  json.field("served_model_name", model.id);
  json.key("model_type").begin_object();
  json.key("reranker");  // must be the first key: Dify takes that
  write_labels(json, model);
  json.key("rerank");  // RAGFlow 0.27.0 and 0.27.1 look for this one
  write_labels(json, model);
  json.end_object();
  json.field("max_concurrent_requests", uint64_t{options.max_connections});
  json.field("max_input_length", uint64_t{model.max_length});
  json.field("max_batch_tokens", uint64_t{options.max_batch_tokens});
  json.key("max_batch_requests").null();
  json.field("max_client_batch_size", uint64_t{options.max_documents});
  json.field("auto_truncate", true);
  json.field("tokenization_workers",
             uint64_t{options.tokenizer_threads ? options.tokenizer_threads : std::max<size_t>(model.threads, 1)});
  json.field("version", RERANKD_VERSION);
  json.field("architecture", model.architecture);
  json.field("fingerprint", model.fingerprint);
  json.field("engine", model.engine);
  json.field("precision", model.precision);
  json.field("kernel", model.kernel);
  json.field("threads", uint64_t{model.threads});
  json.field("model_max_length", uint64_t{model.model_max_length});
  json.field("parameters", model.parameters);
  json.end_object();
  return page(json);
}

transport::HttpResponse models_page(const ModelInfo& model) {
  JsonWriter json;
  json.begin_object();
  json.field("object", "list");
  json.key("data").begin_array();
  write_model(json, model);
  json.end_array();
  json.end_object();
  return page(json);
}

transport::HttpResponse model_page(const ModelInfo& model) {
  JsonWriter json;
  write_model(json, model);
  return page(json);
}

transport::HttpResponse cluster_auth_page(bool required) {
  JsonWriter json;
  json.begin_object().field("auth", required).end_object();
  return page(json);
}

transport::HttpResponse index_page() {
  transport::HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                       "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                      {"Cache-Control", "no-cache"},
                      {"Vary", "Accept"}};
  response.body = kIndexHtml;
  return response;
}

}  // namespace rerank::api
