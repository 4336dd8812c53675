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

// `several`: says what tells models of one server apart, and what one that does not answer is about.
void write_model(JsonWriter& json, const ModelReport& report, bool several) {
  const ModelInfo& model = report.info;
  json.begin_object();
  json.field("id", model.id);
  json.field("object", "model");
  json.field("created", uint64_t{0});
  json.field("owned_by", "rerankd");
  json.field("model_type", "rerank");  // Xinference's clients look at it
  json.field("model_name", model.id);
  json.field("max_model_len", uint64_t{model.max_length});
  json.field("context_length", uint64_t{model.max_length});
  if (several || report.state != ModelState::kReady) {
    json.field("status", word_of(report.state));
    json.field("default", report.is_default);
    if (!report.phase.empty()) json.field("phase", report.phase).field("percent", int64_t{report.percent});
    if (!report.error.empty()) json.field("error", report.error);
    if (!model.fingerprint.empty()) {
      json.field("fingerprint", model.fingerprint);
      json.field("engine", model.engine);
      json.field("precision", model.precision);
      json.field("parameters", model.parameters);
    }
    json.field("weight", report.weight);
  }
  if (!report.aliases.empty()) {
    json.key("aliases").begin_array();
    for (const std::string& alias : report.aliases) json.value(alias);
    json.end_array();
  }
  json.end_object();
}

void write_alias(JsonWriter& json, const AliasReport& alias) {
  json.begin_object();
  json.field("id", alias.alias);
  json.field("object", "model");
  json.field("created", uint64_t{0});
  json.field("owned_by", "rerankd");
  json.field("model_type", "rerank");
  json.field("model_name", alias.alias);
  json.key("alias_of").begin_array();
  for (const AliasPart& part : alias.parts) {
    json.begin_object().field("model", part.model).field("share", part.share).end_object();
  }
  json.end_array();
  json.end_object();
}

// What a model that does not answer is about, in a few words.
std::string describe(const ModelReport& report) {
  std::string text = "model " + report.name + " ";
  if (report.state == ModelState::kFailed)
    return text + "could not be loaded" + (report.error.empty() ? "" : ": " + report.error);
  if (report.state == ModelState::kReady) return text + "does not compute: its engine fails";
  text += report.state == ModelState::kIdle ? "is not loaded" : "is loading";
  if (report.phase.empty()) return text;
  return text + " (" + report.phase + ", " + std::to_string(report.percent) + " %)";
}

void write_health(JsonWriter& json, const std::vector<ModelReport>& models) {
  json.key("models").begin_array();
  for (const ModelReport& report : models) {
    json.begin_object();
    json.field("name", report.name);
    json.field("status", report.state == ModelState::kReady && !report.answers ? "failing" : word_of(report.state));
    if (!report.phase.empty()) json.field("phase", report.phase).field("percent", int64_t{report.percent});
    if (!report.error.empty()) json.field("error", report.error);
    json.end_object();
  }
  json.end_array();
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

std::string_view word_of(ModelState state) {
  switch (state) {
    case ModelState::kStarting:
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kFailed:
      return "failed";
    case ModelState::kIdle:
      return "idle";
  }
  return "";
}

transport::HttpResponse live_page() {
  JsonWriter json;
  json.begin_object().field("status", "ok").end_object();
  return page(json);
}

transport::HttpResponse health_page(const std::vector<ModelReport>& models, bool well) {
  bool starting = false, answers = false, all = true;
  std::string missing;
  for (const ModelReport& report : models) {
    starting |= report.state == ModelState::kStarting;
    // One that nobody asks for is there when somebody does; one that is replaced answers meanwhile.
    const bool there = report.answers || report.state == ModelState::kIdle || report.state == ModelState::kLoading;
    answers |= there;
    all &= there;
    if (!there && missing.empty()) missing = describe(report);
  }
  if (all && well && !models.empty()) return live_page();
  const bool ready = well && answers && !starting;
  const std::string why = "unhealthy: " + (missing.empty() ? "stopping, or gRPC fails" : missing);
  const transport::ErrorShape shape = transport::ErrorShape::kTei;
  transport::HttpResponse response;
  if (!ready)
    response = transport::error_response(transport::make_error(transport::ErrorKind::kUnavailable, why), shape);
  JsonWriter json;
  json.begin_object();
  if (!ready) json.field("error", why).field("error_type", "Unhealthy");
  json.field("status", ready ? "degraded" : starting ? "loading" : "unhealthy");
  write_health(json, models);
  json.end_object();
  response.body = json.take();
  return response;
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
  json.field("score_scale", word_of(model.score_scale));
  if (!model.activation.empty()) json.field("activation_fn", model.activation);
  json.end_object();
  return page(json);
}

transport::HttpResponse models_page(const Catalog& catalog) {
  const std::vector<ModelReport> models = catalog.list();
  JsonWriter json;
  json.begin_object();
  json.field("object", "list");
  json.key("data").begin_array();
  for (const ModelReport& report : models) write_model(json, report, models.size() > 1);
  for (const AliasReport& alias : catalog.aliases()) write_alias(json, alias);
  json.end_array();
  json.end_object();
  return page(json);
}

transport::HttpResponse model_page(const ModelReport& model) {
  JsonWriter json;
  write_model(json, model, false);
  return page(json);
}

transport::HttpResponse cluster_auth_page(bool required) {
  JsonWriter json;
  json.begin_object().field("auth", required).end_object();
  return page(json);
}

namespace {

// Loads nothing from elsewhere, and may be framed nowhere.
transport::HttpResponse html_page(std::string_view html) {
  transport::HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                       "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                      {"Cache-Control", "no-cache"},
                      {"Vary", "Accept"}};
  response.body = html;
  return response;
}

}  // namespace

transport::HttpResponse index_page() { return html_page(kIndexHtml); }

transport::HttpResponse docs_page() { return html_page(kDocsHtml); }

}  // namespace rerank::api
