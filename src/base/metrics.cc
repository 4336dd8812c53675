#include "base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <mutex>

namespace rerank {
namespace {

struct PrometheusCounter : Counter {
  explicit PrometheusCounter(prometheus::Counter& c) : inner(c) {}
  void add(double amount) override { inner.Increment(amount); }
  double value() const override { return inner.Value(); }
  prometheus::Counter& inner;
};

struct PrometheusGauge : Gauge {
  explicit PrometheusGauge(prometheus::Gauge& g) : inner(g) {}
  void set(double value) override { inner.Set(value); }
  void add(double amount) override { amount >= 0 ? inner.Increment(amount) : inner.Decrement(-amount); }
  double value() const override { return inner.Value(); }
  prometheus::Gauge& inner;
};

struct PrometheusHistogram : Histogram {
  explicit PrometheusHistogram(prometheus::Histogram& h) : inner(h) {}
  void observe(double value) override { inner.Observe(value); }
  prometheus::Histogram& inner;
};

struct PrometheusQuantiles : Quantiles {
  explicit PrometheusQuantiles(prometheus::Summary& s) : inner(s) {}
  void observe(double value) override { inner.Observe(value); }
  prometheus::Summary& inner;
};

// The metrics of `family` that `alias` names again; none if it names another family.
void add_renamed(const prometheus::MetricFamily& family, const MetricAlias& alias, prometheus::MetricFamily& renamed) {
  if (family.name != alias.source) return;
  renamed.type = family.type;
  renamed.help = "As " + family.name + ".";
  for (prometheus::ClientMetric metric : family.metric) {
    const auto has = [&](const auto& wanted) {
      return std::any_of(metric.label.begin(), metric.label.end(),
                         [&](const auto& label) { return label.name == wanted.first && label.value == wanted.second; });
    };
    if (!std::all_of(alias.where.begin(), alias.where.end(), has)) continue;
    for (auto& label : metric.label) {
      if (label.name == alias.rename_from) label.name = alias.rename_to;
    }
    for (const auto& [name, value] : alias.labels) metric.label.push_back({name, value});
    renamed.metric.push_back(std::move(metric));
  }
}

constexpr std::chrono::seconds kSummaryWindow(60);

using Key = std::pair<std::string, MetricLabels>;

}  // namespace

struct Metrics::Registry {
  std::mutex mutex;
  prometheus::Registry prometheus{prometheus::Registry::InsertBehavior::Merge};
  std::map<Key, std::unique_ptr<Counter>> counters;
  std::map<Key, std::unique_ptr<Gauge>> gauges;
  std::map<Key, std::unique_ptr<Histogram>> histograms;
  std::map<Key, std::unique_ptr<Quantiles>> quantiles;
  std::vector<MetricAlias> aliases;
  std::vector<std::function<void()>> readers;
};

Metrics::Metrics() : registry_(std::make_unique<Registry>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  std::lock_guard lock(registry_->mutex);
  auto& slot = registry_->counters[{name, labels}];
  if (!slot) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(registry_->prometheus);
    slot = std::make_unique<PrometheusCounter>(family.Add(labels));
  }
  return *slot;
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const MetricLabels& labels) {
  std::lock_guard lock(registry_->mutex);
  auto& slot = registry_->gauges[{name, labels}];
  if (!slot) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry_->prometheus);
    slot = std::make_unique<PrometheusGauge>(family.Add(labels));
  }
  return *slot;
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                              const MetricLabels& labels) {
  std::lock_guard lock(registry_->mutex);
  auto& slot = registry_->histograms[{name, labels}];
  if (!slot) {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(registry_->prometheus);
    slot = std::make_unique<PrometheusHistogram>(family.Add(labels, prometheus::Histogram::BucketBoundaries(bounds)));
  }
  return *slot;
}

Quantiles& Metrics::quantiles(const std::string& name, const std::string& help, const MetricLabels& labels) {
  std::lock_guard lock(registry_->mutex);
  auto& slot = registry_->quantiles[{name, labels}];
  if (!slot) {
    auto& family = prometheus::BuildSummary().Name(name).Help(help).Register(registry_->prometheus);
    const prometheus::Summary::Quantiles wanted = {{0.5, 0.02}, {0.95, 0.005}, {0.99, 0.001}};
    slot = std::make_unique<PrometheusQuantiles>(family.Add(labels, wanted, kSummaryWindow, 3));
  }
  return *slot;
}

void Metrics::add_alias(MetricAlias alias) {
  std::lock_guard lock(registry_->mutex);
  registry_->aliases.push_back(std::move(alias));
}

void Metrics::on_collect(std::function<void()> read) {
  std::lock_guard lock(registry_->mutex);
  registry_->readers.push_back(std::move(read));
}

std::string Metrics::to_text() const {
  std::vector<std::function<void()>> readers;
  std::vector<MetricAlias> aliases;
  {
    std::lock_guard lock(registry_->mutex);
    readers = registry_->readers;
    aliases = registry_->aliases;
  }
  for (const auto& read : readers) read();
  std::vector<prometheus::MetricFamily> families = registry_->prometheus.Collect();
  std::map<std::string, prometheus::MetricFamily> renamed;
  for (const MetricAlias& alias : aliases) {
    for (const auto& family : families) add_renamed(family, alias, renamed[alias.name]);
  }
  for (auto& [name, family] : renamed) {
    family.name = name;
    if (!family.metric.empty()) families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

const std::vector<double>& latency_buckets_seconds() {
  static const std::vector<double> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                              0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return kBounds;
}

}  // namespace rerank
