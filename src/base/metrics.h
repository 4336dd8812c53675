// Counters, gauges and histograms in one registry, written out as Prometheus text. A thin face over prometheus-cpp, so
// that no other room includes it. All objects are thread-safe; references stay valid as long as their Metrics lives.
// Asking again for the same name and labels gives the same object, so hot paths ask once and keep the reference.
#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
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

  std::string to_text() const;  // Prometheus text exposition format 0.0.4

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

// 100 us to 60 s, about three buckets per factor of ten: for every latency histogram, so that they can be compared.
const std::vector<double>& latency_buckets_seconds();

}  // namespace rerank
