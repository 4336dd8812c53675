#include "api/request_metrics.h"

#include <string>

namespace rerank {

struct RequestMetrics::Cells {
  std::shared_ptr<Metrics> metrics;
  std::mutex mutex;
  std::map<std::pair<const char*, int>, Counter*> counters;
  std::map<const char*, Histogram*> histograms;
};

RequestMetrics::RequestMetrics(std::shared_ptr<Metrics> metrics) {
  if (!metrics) return;
  cells_ = std::make_shared<Cells>();
  cells_->metrics = std::move(metrics);
}

void RequestMetrics::count(const char* label, int status, std::chrono::nanoseconds duration) {
  if (!cells_) return;
  Counter* counter = nullptr;
  Histogram* histogram = nullptr;
  {
    const std::lock_guard lock(cells_->mutex);
    Counter*& counter_cell = cells_->counters[{label, status}];
    if (!counter_cell) {
      counter_cell =
          &cells_->metrics->counter("rerankd_http_requests_total", "Requests answered, by dialect and HTTP status.",
                                    {{"dialect", label}, {"status", std::to_string(status)}});
    }
    Histogram*& histogram_cell = cells_->histograms[label];
    if (!histogram_cell) {
      histogram_cell = &cells_->metrics->histogram("rerankd_http_request_duration_seconds",
                                                   "Time from a complete request to its answer, by dialect.",
                                                   latency_buckets_seconds(), {{"dialect", label}});
    }
    counter = counter_cell;
    histogram = histogram_cell;
  }
  counter->add();
  histogram->observe(std::chrono::duration<double>(duration).count());
}

}  // namespace rerank
