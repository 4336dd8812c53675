#include "observe/request_metrics.h"

#include <chrono>
#include <string>
#include <tuple>
#include <utility>

namespace rerank::observe {
namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

Histogram& stage(Metrics& metrics, const char* name) {
  return metrics.histogram("rerankd_stage_seconds", "Time of one request in one stage.", latency_buckets_seconds(),
                           {{"stage", name}});
}

}  // namespace

struct RequestMetrics::Cells {
  Cells(std::shared_ptr<Metrics> m, RequestMetricNames n)
      : metrics(std::move(m)), names(n), parse(stage(*metrics, "parse")), respond(stage(*metrics, "respond")) {}

  std::shared_ptr<Metrics> metrics;
  const RequestMetricNames names;
  Histogram &parse, &respond;
  std::mutex mutex;
  std::map<std::tuple<const char*, int, bool>, Counter*> counters;  // label, outcome, rate_limited
  std::map<const char*, Histogram*> histograms;
};

RequestMetrics::RequestMetrics(std::shared_ptr<Metrics> metrics, RequestMetricNames names) {
  if (metrics) cells_ = std::make_shared<Cells>(std::move(metrics), names);
}

void RequestMetrics::count(const RequestRecord& record, int outcome) {
  if (!cells_) return;
  Counter* counter = nullptr;
  {
    const std::lock_guard lock(cells_->mutex);
    Counter*& cell = cells_->counters[{record.label, outcome, record.rate_limited}];
    if (!cell) {
      cell = &cells_->metrics->counter(std::string(cells_->names.prefix) + "s_total",
                                       "Requests answered, by kind, outcome and its reason.",
                                       {{cells_->names.label, record.label},
                                        {"kind", record.ranks ? "rank" : "other"},
                                        {"reason", std::string(reason_of(record))},
                                        {cells_->names.status, std::to_string(outcome)}});
    }
    counter = cell;
  }
  counter->add();
}

void RequestMetrics::time(const RequestRecord& record) {
  if (!cells_) return;
  Histogram* histogram = nullptr;
  {
    const std::lock_guard lock(cells_->mutex);
    Histogram*& cell = cells_->histograms[record.label];
    if (!cell) {
      cell = &cells_->metrics->histogram(std::string(cells_->names.prefix) + "_duration_seconds",
                                         "Time from a complete request to its answer, by kind.",
                                         latency_buckets_seconds(), {{cells_->names.label, record.label}});
    }
    histogram = cell;
  }
  histogram->observe(seconds(record.total));
  if (record.ranked.count() == 0) return;
  cells_->parse.observe(seconds(record.parsed));
  cells_->respond.observe(seconds(record.total - record.ranked));
}

}  // namespace rerank::observe
