// OpenTelemetry spans of requests, sent to a collector as OTLP over HTTP in JSON
// (https://opentelemetry.io/docs/specs/otlp/): a span for each request with one below it for each stage. Why not
// opentelemetry-cpp: docs/decisions/0014-tracing.md.
//
// finished() only queues. One thread makes the spans and posts them, some each second; a collector that is slow or gone
// costs spans, never requests.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/metrics.h"
#include "observe/request_record.h"
#include "rerank/status.h"

namespace rerank::observe {

struct TracerOptions {
  std::string endpoint;  // http://HOST:4318; the path /v1/traces is added unless it is there
  std::string headers;   // "name=value,name=value": what a vendor's collector wants
  std::string service_name;
  double rate = 1;           // of requests whose caller does not say, the share that is recorded
  size_t max_queued = 2048;  // requests; more are dropped
};

// Whatever waits is sent, or given up, within some seconds of its destruction. `metrics` may be null. InvalidArgument:
// the endpoint is no http(s) URL, or a header has no "=".
Result<std::shared_ptr<RequestObserver>> make_tracer(const TracerOptions& options, std::shared_ptr<Metrics> metrics);

// The body of one post. Pure, but for the ids of spans.
std::string otlp_json(std::span<const RequestRecord> records, const std::string& service_name);

}  // namespace rerank::observe
