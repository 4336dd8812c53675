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
#include <tuple>

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
  // Held while readers run and metrics are written out, and while some of them leave; taken before the other.
  std::mutex collecting;
  std::mutex mutex;
  prometheus::Registry prometheus{prometheus::Registry::InsertBehavior::Merge};
  std::map<Key, std::unique_ptr<Counter>> counters;
  std::map<Key, std::unique_ptr<Gauge>> gauges;
  std::map<Key, std::unique_ptr<Histogram>> histograms;
  std::map<Key, std::unique_ptr<Quantiles>> quantiles;
  // Of metrics that leave with what they were made through: how many have asked, and how they go.
  struct Use {
    size_t users = 0;
    std::function<void()> remove;
  };
  std::map<Key, Use> uses;
  std::vector<MetricAlias> aliases;
  std::map<uint64_t, std::function<void()>> readers;
  uint64_t next_reader = 0;
};

Metrics::Metrics() : registry_(std::make_shared<Registry>()) {}
Metrics::Metrics(std::shared_ptr<Registry> registry, MetricLabels labels)
    : registry_(std::move(registry)), labels_(std::move(labels)) {}

Metrics::~Metrics() {
  if (labels_.empty()) return;
  const std::lock_guard collecting(registry_->collecting);
  const std::lock_guard lock(registry_->mutex);
  for (const uint64_t reader : readers_) registry_->readers.erase(reader);
  for (const Key& key : used_) {
    const auto use = registry_->uses.find(key);
    if (--use->second.users > 0) continue;
    if (use->second.remove) use->second.remove();
    registry_->uses.erase(use);
  }
}

std::shared_ptr<Metrics> Metrics::with(const MetricLabels& labels) const {
  MetricLabels all = labels_;
  all.insert(labels.begin(), labels.end());
  return std::shared_ptr<Metrics>(new Metrics(registry_, std::move(all)));
}

// `make(labels)`: the metric, and how it leaves its family.
template <class Kind, class Make>
Kind& Metrics::find_or_make(std::map<Key, std::unique_ptr<Kind>>& slots, const std::string& name,
                            const MetricLabels& labels, Make make) {
  Key key{name, labels};
  key.second.insert(labels_.begin(), labels_.end());
  const std::lock_guard lock(registry_->mutex);
  auto& slot = slots[key];
  std::function<void()> leave;
  if (!slot) std::tie(slot, leave) = make(key.second);
  Kind& made = *slot;
  if (labels_.empty()) return made;
  Registry::Use& use = registry_->uses[key];
  if (leave) {
    use.remove = [&slots, key, leave = std::move(leave)] {
      leave();
      slots.erase(key);
    };
  }
  if (std::find(used_.begin(), used_.end(), key) == used_.end()) {
    used_.push_back(std::move(key));
    ++use.users;
  }
  return made;
}

Counter& Metrics::counter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  return find_or_make(registry_->counters, name, labels, [&](const MetricLabels& all) {
    auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(registry_->prometheus);
    auto& metric = family.Add(all);
    return std::pair<std::unique_ptr<Counter>, std::function<void()>>(std::make_unique<PrometheusCounter>(metric),
                                                                      [&] { family.Remove(&metric); });
  });
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const MetricLabels& labels) {
  return find_or_make(registry_->gauges, name, labels, [&](const MetricLabels& all) {
    auto& family = prometheus::BuildGauge().Name(name).Help(help).Register(registry_->prometheus);
    auto& metric = family.Add(all);
    return std::pair<std::unique_ptr<Gauge>, std::function<void()>>(std::make_unique<PrometheusGauge>(metric),
                                                                    [&] { family.Remove(&metric); });
  });
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                              const MetricLabels& labels) {
  return find_or_make(registry_->histograms, name, labels, [&](const MetricLabels& all) {
    auto& family = prometheus::BuildHistogram().Name(name).Help(help).Register(registry_->prometheus);
    auto& metric = family.Add(all, prometheus::Histogram::BucketBoundaries(bounds));
    return std::pair<std::unique_ptr<Histogram>, std::function<void()>>(std::make_unique<PrometheusHistogram>(metric),
                                                                        [&] { family.Remove(&metric); });
  });
}

Quantiles& Metrics::quantiles(const std::string& name, const std::string& help, const MetricLabels& labels) {
  return find_or_make(registry_->quantiles, name, labels, [&](const MetricLabels& all) {
    auto& family = prometheus::BuildSummary().Name(name).Help(help).Register(registry_->prometheus);
    const prometheus::Summary::Quantiles wanted = {{0.5, 0.02}, {0.95, 0.005}, {0.99, 0.001}};
    auto& metric = family.Add(all, wanted, kSummaryWindow, 3);
    return std::pair<std::unique_ptr<Quantiles>, std::function<void()>>(std::make_unique<PrometheusQuantiles>(metric),
                                                                        [&] { family.Remove(&metric); });
  });
}

void Metrics::add_alias(MetricAlias alias) {
  std::lock_guard lock(registry_->mutex);
  registry_->aliases.push_back(std::move(alias));
}

void Metrics::on_collect(std::function<void()> read) {
  std::lock_guard lock(registry_->mutex);
  const uint64_t reader = registry_->next_reader++;
  registry_->readers[reader] = std::move(read);
  if (!labels_.empty()) readers_.push_back(reader);
}

std::string Metrics::to_text() const {
  std::vector<std::function<void()>> readers;
  std::vector<MetricAlias> aliases;
  const std::lock_guard collecting(registry_->collecting);
  {
    std::lock_guard lock(registry_->mutex);
    for (const auto& [number, read] : registry_->readers) readers.push_back(read);
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
