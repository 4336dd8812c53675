// Counts answered requests: rerankd_http_requests_total{dialect,status} and
// rerankd_http_request_duration_seconds{dialect}. Thread-safe; the hot path takes one short lock.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/metrics.h"

namespace rerank {

class RequestMetrics {
 public:
  explicit RequestMetrics(std::shared_ptr<Metrics> metrics);  // null: counts nothing

  // `label`: a string literal.
  void count(const char* label, int status, std::chrono::nanoseconds duration);

 private:
  struct Cells;
  std::shared_ptr<Cells> cells_;
};

}  // namespace rerank
