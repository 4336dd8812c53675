#include "api/request_metrics.h"

#include <string>

namespace rerank {

struct RequestMetrics::Cells {
  std::shared_ptr<Metrics> metrics;
  RequestMetricNames names;
  std::mutex mutex;
  std::map<std::pair<const char*, int>, Counter*> counters;
  std::map<const char*, Histogram*> histograms;
};

RequestMetrics::RequestMetrics(std::shared_ptr<Metrics> metrics, RequestMetricNames names) {
  if (!metrics) return;
  cells_ = std::make_shared<Cells>();
  cells_->metrics = std::move(metrics);
  cells_->names = names;
}

void RequestMetrics::count(const char* label, int status, std::chrono::nanoseconds duration) {
  if (!cells_) return;
  Counter* counter = nullptr;
  Histogram* histogram = nullptr;
  {
    const std::lock_guard lock(cells_->mutex);
    Counter*& counter_cell = cells_->counters[{label, status}];
    const auto& [prefix, label_name, status_name] = cells_->names;
    if (!counter_cell) {
      counter_cell = &cells_->metrics->counter(std::string(prefix) + "s_total", "Requests answered, by kind and outcome.",
                                               {{label_name, label}, {status_name, std::to_string(status)}});
    }
    Histogram*& histogram_cell = cells_->histograms[label];
    if (!histogram_cell) {
      histogram_cell =
          &cells_->metrics->histogram(std::string(prefix) + "_duration_seconds",
                                      "Time from a complete request to its answer, by kind.", latency_buckets_seconds(),
                                      {{label_name, label}});
    }
    counter = counter_cell;
    histogram = histogram_cell;
  }
  counter->add();
  histogram->observe(std::chrono::duration<double>(duration).count());
}

}  // namespace rerank
