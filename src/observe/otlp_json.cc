// Records -> OTLP's JSON. Field names: opentelemetry-proto, trace/v1/trace.proto, by its JSON mapping (ids as hex,
// 64-bit numbers as strings).

#include <algorithm>
#include <string>

#include "base/json/writer.h"
#include "observe/tracer.h"

namespace rerank::observe {
namespace {

using std::chrono::nanoseconds;
using Writer = JsonWriter;

enum SpanKind { kInternal = 1, kServer = 2 };
constexpr int kStatusError = 2;

class SpanWriter {
 public:
  SpanWriter(Writer& out, const RequestRecord& record)
      : out_(out),
        record_(record),
        started_(std::chrono::duration_cast<nanoseconds>(record.started.time_since_epoch())),
        trace_id_(record.trace.trace_id.empty() ? new_trace_id() : record.trace.trace_id) {}

  void write() {
    const std::string id = new_span_id();
    const std::string name = std::string(record_.ranks ? "rerank " : "") + record_.label;
    begin(id, record_.trace.parent_id, name, kServer, {nanoseconds(0), record_.total});
    text("rerankd.dialect", record_.label);
    text("rerankd.transport", record_.transport);
    text("rerankd.reason", reason_of(record_));
    if (!record_.id.empty()) text("rerankd.request_id", record_.id);
    if (!record_.model.empty()) text("rerankd.model", record_.model);
    number("http.response.status_code", static_cast<uint64_t>(record_.status));
    number("rerankd.documents", record_.documents);
    number("rerankd.documents.cached", record_.cached_documents);
    number("rerankd.documents.truncated", record_.truncated_documents);
    number("rerankd.tokens", record_.tokens);
    end(record_.status >= 500);
    if (record_.ranked.count() == 0) return;
    stage(id, "parse", {nanoseconds(0), record_.parsed});
    nanoseconds now = record_.parsed;
    for (const auto& [stage_name, micros] :
         {std::pair("cache", record_.timings.cache_us), std::pair("tokenize", record_.timings.tokenize_us),
          std::pair("queue", record_.timings.queue_us), std::pair("compute", record_.timings.compute_us)}) {
      const nanoseconds done = std::min(now + std::chrono::microseconds(micros), record_.ranked);
      if (micros > 0) stage(id, stage_name, {now, done});
      now = done;
    }
    stage(id, "respond", {record_.ranked, record_.total});
  }

 private:
  struct Interval {
    nanoseconds from, to;
  };

  void string(std::string_view value) { out_.value(value); }

  void field(const char* name, std::string_view value) {
    out_.key(name);
    string(value);
  }

  void begin(std::string_view id, std::string_view parent, std::string_view name, SpanKind kind, Interval interval) {
    out_.begin_object();
    field("traceId", trace_id_);
    field("spanId", id);
    if (!parent.empty()) field("parentSpanId", parent);
    field("name", name);
    out_.key("kind"), out_.value(kind);
    field("startTimeUnixNano", std::to_string((started_ + interval.from).count()));
    field("endTimeUnixNano", std::to_string((started_ + interval.to).count()));
    out_.key("attributes"), out_.begin_array();
  }

  void text(const char* key, std::string_view value) {
    out_.begin_object();
    field("key", key);
    out_.key("value"), out_.begin_object();
    field("stringValue", value);
    out_.end_object(), out_.end_object();
  }

  void number(const char* key, uint64_t value) {
    out_.begin_object();
    field("key", key);
    out_.key("value"), out_.begin_object();
    field("intValue", std::to_string(value));
    out_.end_object(), out_.end_object();
  }

  void end(bool error) {
    out_.end_array();
    if (error) {
      out_.key("status"), out_.begin_object();
      out_.key("code"), out_.value(kStatusError);
      out_.end_object();
    }
    out_.end_object();
  }

  void stage(std::string_view parent, const char* name, Interval interval) {
    begin(new_span_id(), parent, name, kInternal, interval);
    end(false);
  }

  Writer& out_;
  const RequestRecord& record_;
  const nanoseconds started_;
  const std::string trace_id_;
};

}  // namespace

std::string otlp_json(std::span<const RequestRecord> records, const std::string& service_name) {
  JsonWriter out;
  out.begin_object(), out.key("resourceSpans"), out.begin_array(), out.begin_object();
  out.key("resource"), out.begin_object(), out.key("attributes"), out.begin_array();
  out.begin_object(), out.key("key"), out.value("service.name");
  out.key("value"), out.begin_object(), out.key("stringValue"), out.value(service_name.c_str());
  out.end_object(), out.end_object(), out.end_array(), out.end_object();
  out.key("scopeSpans"), out.begin_array(), out.begin_object();
  out.key("scope"), out.begin_object(), out.key("name"), out.value("rerankd"), out.end_object();
  out.key("spans"), out.begin_array();
  for (const RequestRecord& record : records) SpanWriter(out, record).write();
  out.end_array(), out.end_object(), out.end_array(), out.end_object(), out.end_array(), out.end_object();
  return out.take();
}

}  // namespace rerank::observe
