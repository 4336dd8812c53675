// What a load test found: counts, rates and percentiles.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "load/drive.h"

namespace rerank::load {

struct LatencySummary {  // milliseconds, of answered requests; all 0 when there are none
  double mean = 0, p50 = 0, p90 = 0, p95 = 0, p99 = 0, p999 = 0, max = 0;
};

struct Summary {
  double offered = 0;  // requests per second; 0 for a closed loop
  size_t clients = 0;
  double seconds = 0;
  size_t sent = 0, answered = 0, refused = 0, failed = 0, unanswered = 0;
  double requests_per_second = 0;  // answered
  double documents_per_second = 0;
  double tokens_per_second = 0;  // 0: the target does not tell
  LatencySummary latency;
  std::map<int, size_t> http_statuses;
  std::map<std::string, double> stage_ms;  // mean; empty: the target does not tell
  std::vector<double> latencies;           // milliseconds, rising
  std::string first_error;
};

// The value below which `share` of the rising values lie (nearest rank); 0 when there are none.
double percentile(const std::vector<double>& rising, double share);

Summary summarize(const LoadRun& run);

// {"target": ..., "workload": {...}, "runs": [{...}]}
struct BenchReport {
  std::string target;  // the URL, or the engine in process with precision and kernel
  WorkloadOptions workload;
  std::vector<Summary> runs;
  std::vector<size_t> document_tokens;  // lengths of some of the documents asked about; may be empty
};
std::string to_json(const BenchReport& report);

// How much it takes, in a sentence: the most requests a second of a run that refused none and answered 95 % within a
// second.
std::string capacity_sentence(const BenchReport& report);

// One self-contained page: latency against throughput, percentiles, and the runs as a table.
std::string to_html(const BenchReport& report);

}  // namespace rerank::load
