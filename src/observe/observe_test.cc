#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "observe/gpu_metrics.h"
#include "observe/process_metrics.h"
#include "observe/request_log.h"
#include "observe/tei_names.h"
#include "observe/trace_context.h"
#include "observe/tracer.h"
#include "support/json.h"

namespace rerank::observe {
namespace {

bool has_line(const std::string& text, const std::string& line) { return text.find("\n" + line) != text.npos; }

double value_of(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  return at == text.npos ? -1 : std::strtod(text.c_str() + at + name.size() + 2, nullptr);
}

TEST(TraceContextTest, ReadsWhatTheSpecificationAllows) {
  const auto found = parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(found->parent_id, "00f067aa0ba902b7");
  EXPECT_TRUE(found->sampled);
  EXPECT_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")->sampled);
  EXPECT_TRUE(parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later"));
}

TEST(TraceContextTest, IgnoresWhatIsNone) {
  for (const char* wrong : {"", "00", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"}) {
    EXPECT_FALSE(parse_traceparent(wrong)) << wrong;
  }
  EXPECT_EQ(new_trace_id().size(), 32u);
  EXPECT_NE(new_span_id(), new_span_id());
}

RequestRecord ranked(int status = 200) {
  RequestRecord record;
  record.label = "common";
  record.ranks = true;
  record.status = status;
  record.started = std::chrono::system_clock::time_point(std::chrono::seconds(1000));
  record.parsed = std::chrono::microseconds(100);
  record.ranked = std::chrono::microseconds(9000);
  record.total = std::chrono::microseconds(10000);
  record.timings = {8900, 10, 300, 2000, 6500};
  record.documents = 66;
  return record;
}

// Lines logged while it lives.
struct LogCatcher {
  LogCatcher() {
    set_log_sink([this](LogLevel, std::string_view message, std::span<const LogField> fields) {
      std::string line(message);
      for (const LogField& field : fields) line += " " + std::string(field.name) + "=" + field.value;
      lines.push_back(line);
    });
  }
  ~LogCatcher() { set_log_sink({}); }
  std::vector<std::string> lines;
};

TEST(RequestLogTest, OneLineSaysWhatBecameOfARequest) {
  LogCatcher log;
  const auto observer = make_request_log(10);
  RequestRecord record = ranked();
  record.trace.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  observer->finished(record);
  ASSERT_EQ(log.lines.size(), 1u);
  EXPECT_EQ(log.lines[0],
            "request transport=http dialect=common reason=ok status=200 ms=10.00 queue_ms=2.00 compute_ms=6.50 "
            "documents=66 tokens=0 cached=0 truncated=0 trace_id=4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(RequestLogTest, OneLineSaysWhoSentABadRequest) {
  LogCatcher log;
  const auto observer = make_request_log(10);
  RequestRecord record = ranked(422);
  record.label = "rerank";
  record.documents = 0;
  record.field = "documents[1]";
  record.method = "POST";
  record.path = "/v1/rerank";
  record.peer = "10.0.0.7";
  record.agent = "Dify";
  record.id = "abc";
  observer->finished(record);
  EXPECT_EQ(log.lines[0],
            "request transport=http route=rerank reason=invalid status=422 ms=10.00 field=documents[1] method=POST "
            "path=/v1/rerank peer=10.0.0.7 agent=Dify id=abc");
}

TEST(RequestLogTest, TheFieldIsTakenFromTheErrorAndNothingElse) {
  EXPECT_EQ(field_of("`documents[1]` must be a string"), "documents[1]");
  EXPECT_EQ(field_of("inputs[0].text: expected a string, found null"), "inputs[0].text");
  EXPECT_EQ(field_of("the body is not valid JSON: a string is not closed"), "");
  EXPECT_EQ(field_of("`a secret text` is wrong"), "");
  EXPECT_EQ(field_of(""), "");
}

TEST(RequestLogTest, UnderLoadLinesAreLeftOutAndCountedAndFailuresHaveTheirOwn) {
  LogCatcher log;
  const auto observer = make_request_log(2);
  for (int i = 0; i < 10; ++i) observer->finished(ranked());
  EXPECT_EQ(log.lines.size(), 2u);
  observer->finished(ranked(504));
  ASSERT_EQ(log.lines.size(), 3u);
  EXPECT_NE(log.lines[2].find("reason=deadline status=504"), std::string::npos);
  EXPECT_NE(log.lines[2].find("lines_left_out=8"), std::string::npos);
}

TEST(RequestLogTest, WhatIsAskedForAllTheTimeIsNotLogged) {
  LogCatcher log;
  RequestRecord health;
  health.status = 200;
  make_request_log(10)->finished(health);
  EXPECT_TRUE(log.lines.empty());
}

TEST(TracerTest, SpansFollowOneAnotherWithinTheirRequest) {
  RequestRecord record = ranked(500);
  record.trace = {"4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true};
  const std::string json = otlp_json({&record, 1}, "my \"server\"");
  const Json root(json);
  EXPECT_EQ(root.text("/resourceSpans/0/resource/attributes/0/value/stringValue"), "my \"server\"");
  const std::string spans = "/resourceSpans/0/scopeSpans/0/spans";
  ASSERT_EQ(root.size(spans), 7u);
  const auto of = [&](size_t i, const char* field) { return root.text(spans + "/" + std::to_string(i) + "/" + field); };
  EXPECT_EQ(of(0, "name"), "rerank common");
  EXPECT_EQ(of(0, "parentSpanId"), "00f067aa0ba902b7");
  EXPECT_EQ(root.number(spans + "/0/status/code"), 2);
  EXPECT_EQ(of(0, "startTimeUnixNano"), "1000000000000");
  EXPECT_EQ(of(0, "endTimeUnixNano"), "1000010000000");
  const char* names[] = {"parse", "cache", "tokenize", "queue", "compute", "respond"};
  const char* ends[] = {"1000000100000", "1000000110000", "1000000410000",
                        "1000002410000", "1000008910000", "1000010000000"};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(of(i + 1, "name"), names[i]);
    EXPECT_EQ(of(i + 1, "traceId"), record.trace.trace_id);
    EXPECT_EQ(of(i + 1, "parentSpanId"), of(0, "spanId"));
    EXPECT_EQ(of(i + 1, "endTimeUnixNano"), ends[i]) << names[i];
  }
}

TEST(TracerTest, WhatIsWrongIsNamed) {
  for (const TracerOptions& wrong :
       {TracerOptions{.endpoint = "collector:4317"}, TracerOptions{.endpoint = "http://x", .headers = "key"},
        TracerOptions{.endpoint = "http://x", .rate = 2}}) {
    EXPECT_EQ(make_tracer(wrong, nullptr).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(TracerTest, ACollectorThatIsGoneCostsSpansOnly) {
  auto metrics = std::make_shared<Metrics>();
  auto tracer = make_tracer({.endpoint = "http://127.0.0.1:9", .max_queued = 2}, metrics);
  ASSERT_TRUE(tracer.ok());
  for (int i = 0; i < 5; ++i) (*tracer)->finished(ranked());
  tracer->reset();  // gives the rest up
  EXPECT_EQ(metrics->counter("rerankd_traces_dropped_total", "").value(), 5);
  EXPECT_EQ(metrics->counter("rerankd_traces_sent_total", "").value(), 0);
}

TEST(ProcessMetricsTest, AreThisProcesss) {
  Metrics metrics;
  add_process_metrics(metrics);
  const std::string text = metrics.to_text();
  EXPECT_GT(value_of(text, "process_resident_memory_bytes"), 1e5);
  EXPECT_GT(value_of(text, "process_virtual_memory_bytes"), value_of(text, "process_resident_memory_bytes"));
  EXPECT_GE(value_of(text, "process_threads"), 1);
  EXPECT_GE(value_of(text, "process_open_fds"), 3);
  EXPECT_GT(value_of(text, "process_start_time_seconds"), 1.5e9);
  const double before = value_of(text, "process_cpu_seconds_total");
  for (volatile int i = 0; i < 200000000;) {
    const int next = i + 1;
    i = next;
  }
  EXPECT_GT(value_of(metrics.to_text(), "process_cpu_seconds_total"), before);
}

TEST(GpuMetricsTest, WithoutNvmlThereAreNone) {
  Metrics metrics;
  EXPECT_FALSE(add_gpu_metrics(metrics, "libnvidia-ml-which-is-not-there.so"));
  EXPECT_EQ(metrics.to_text(), "");
}

TEST(GpuMetricsTest, TellsWhatNvmlTells) {
  Metrics metrics;
  ASSERT_TRUE(add_gpu_metrics(metrics, FAKE_NVML));
  const std::string labels = R"({gpu="0",name="Fake GPU"} )", text = metrics.to_text();
  EXPECT_TRUE(has_line(text, "rerankd_gpu_utilization_ratio" + labels + "0.42\n")) << text;
  EXPECT_TRUE(has_line(text, "rerankd_gpu_memory_used_bytes" + labels + "3000000\n")) << text;
  EXPECT_TRUE(has_line(text, "rerankd_gpu_memory_bytes" + labels + "10000000\n")) << text;
  EXPECT_TRUE(has_line(text, "rerankd_gpu_power_watts" + labels + "250\n")) << text;
  EXPECT_TRUE(has_line(text, "rerankd_gpu_temperature_celsius" + labels + "61\n")) << text;
}

TEST(TeiNamesTest, StandBesideOurs) {
  Metrics metrics;
  const auto requests = [&](const char* kind, const char* reason) -> Counter& {
    return metrics.counter("rerankd_http_requests_total", "", {{"kind", kind}, {"reason", reason}});
  };
  requests("rank", "ok").add(3), requests("rank", "overloaded").add(2), requests("other", "ok").add(5);
  metrics.gauge("rerankd_queue_requests", "").set(7);
  add_tei_names(metrics);
  const std::string text = metrics.to_text();
  EXPECT_TRUE(has_line(text, R"(te_request_success{kind="rank",reason="ok",method="batch"} 3)")) << text;
  EXPECT_TRUE(has_line(text, R"(te_request_failure{kind="rank",reason="overloaded",err="overloaded"} 2)")) << text;
  EXPECT_TRUE(has_line(text, "te_queue_size 7")) << text;
  EXPECT_TRUE(has_line(text, "rerankd_queue_requests 7")) << text;
  EXPECT_FALSE(has_line(text, R"(te_request_count{kind="other")")) << text;
}

}  // namespace
}  // namespace rerank::observe
