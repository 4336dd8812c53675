// Counts answered requests: rerankd_http_requests_total{dialect,kind,status,reason}, or
// rerankd_grpc_requests_total{method,kind,code,reason}, their time end to end, and the stages that the transport sees.
// Thread-safe; the hot path takes one short lock.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "base/metrics.h"
#include "observe/request_record.h"

namespace rerank::observe {

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

  // When its answer is known: label and status are. `outcome`: as the transport's own numbers have it.
  void count(const RequestRecord& record, int outcome);
  void count(const RequestRecord& record) { count(record, record.status); }
  // When its answer is written.
  void time(const RequestRecord& record);

 private:
  struct Cells;
  std::shared_ptr<Cells> cells_;
};

}  // namespace rerank::observe
