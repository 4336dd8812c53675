// Counters, gauges and histograms in one registry, written out as Prometheus text. A thin face over prometheus-cpp, so
// that no other room includes it. All objects are thread-safe; references stay valid as long as their Metrics lives.
// Asking again for the same name and labels gives the same object, so hot paths ask once and keep the reference.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rerank {

using MetricLabels = std::map<std::string, std::string>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;  // amount >= 0
  virtual double value() const = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
  virtual double value() const = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

// P50, P95 and P99 over the last minute, per instance: what a histogram's buckets are too coarse to say. Costs a lock.
class Quantiles {
 public:
  virtual ~Quantiles() = default;
  virtual void observe(double value) = 0;
};

// A second name for metrics that have one, for dashboards made for another server. Written out under `name`: every
// metric called `source` whose labels have all of `where`, with `labels` added and `rename_from` called `rename_to`.
struct MetricAlias {
  std::string name, source;
  MetricLabels where = {};
  MetricLabels labels = {};
  std::string rename_from = {}, rename_to = {};
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& counter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  // `bounds`: upper bounds of the buckets, rising; the last bucket is unbounded.
  Histogram& histogram(const std::string& name, const std::string& help, const std::vector<double>& bounds,
                       const MetricLabels& labels = {});

  Quantiles& quantiles(const std::string& name, const std::string& help, const MetricLabels& labels = {});

  // The same registry, with `labels` on everything that is made through the result: what it has made leaves the
  // registry with it, unless another one has asked for the same, and so do its readers. What has references from it
  // keeps it.
  std::shared_ptr<Metrics> with(const MetricLabels& labels) const;

  void add_alias(MetricAlias alias);
  // `read` is called before the metrics are written out: for what is looked up rather than counted. It must live as
  // long as this object is asked for text, be thread-safe, and not call to_text().
  void on_collect(std::function<void()> read);

  std::string to_text() const;  // Prometheus text exposition format 0.0.4

 private:
  struct Registry;
  Metrics(std::shared_ptr<Registry> registry, MetricLabels labels);
  template <class Kind, class Make>
  Kind& find_or_make(std::map<std::pair<std::string, MetricLabels>, std::unique_ptr<Kind>>& slots,
                     const std::string& name, const MetricLabels& labels, Make make);

  std::shared_ptr<Registry> registry_;
  MetricLabels labels_;                                     // added to everyone's
  std::vector<std::pair<std::string, MetricLabels>> used_;  // of a result of with(); guarded by the registry's lock
  std::vector<uint64_t> readers_;
};

// 100 us to 60 s, about three buckets per factor of ten: for every latency histogram, so that they can be compared.
const std::vector<double>& latency_buckets_seconds();

}  // namespace rerank
