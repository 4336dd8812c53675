// Counts answered requests: rerankd_http_requests_total{dialect,status} and
// rerankd_http_request_duration_seconds{dialect}; rerankd_grpc_requests_total{method,code} and
// rerankd_grpc_request_duration_seconds{method}. Thread-safe; the hot path takes one short lock.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/metrics.h"

namespace rerank {

// How one transport's metrics are called.
struct RequestMetricNames {
  const char* prefix;  // of the two metrics' names
  const char* label;   // what tells kinds of requests apart
  const char* status;  // what tells their outcomes apart
};
inline constexpr RequestMetricNames kHttpMetricNames = {"rerankd_http_request", "dialect", "status"};
inline constexpr RequestMetricNames kGrpcMetricNames = {"rerankd_grpc_request", "method", "code"};

class RequestMetrics {
 public:
  // `metrics` null: counts nothing.
  explicit RequestMetrics(std::shared_ptr<Metrics> metrics, RequestMetricNames names = kHttpMetricNames);

  // `label`: a string literal.
  void count(const char* label, int status, std::chrono::nanoseconds duration);

 private:
  struct Cells;
  std::shared_ptr<Cells> cells_;
};

}  // namespace rerank
