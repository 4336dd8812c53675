#include "load/summary.h"
#include "base/json/writer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/strings.h"

namespace rerank::load {
namespace {

using Writer = JsonWriter;

void key(Writer& out, const char* name, double value) { out.key(name), out.value(value); }
void key(Writer& out, const char* name, size_t value) { out.key(name), out.value(value); }
void key(Writer& out, const char* name, const std::string& value) { out.key(name), out.value(value); }

void write(Writer& out, const LatencySummary& latency) {
  out.key("latency_ms"), out.begin_object();
  key(out, "mean", latency.mean), key(out, "p50", latency.p50), key(out, "p90", latency.p90);
  key(out, "p95", latency.p95), key(out, "p99", latency.p99), key(out, "p99.9", latency.p999);
  key(out, "max", latency.max);
  out.end_object();
}

void write(Writer& out, const Summary& run) {
  out.begin_object();
  if (run.clients == 0) key(out, "offered_requests_per_second", run.offered);
  if (run.clients > 0) key(out, "clients", run.clients);
  key(out, "seconds", run.seconds);
  out.key("requests"), out.begin_object();
  key(out, "sent", run.sent), key(out, "answered", run.answered), key(out, "refused", run.refused);
  key(out, "failed", run.failed), key(out, "unanswered", run.unanswered);
  out.end_object();
  key(out, "requests_per_second", run.requests_per_second);
  key(out, "documents_per_second", run.documents_per_second);
  if (run.tokens_per_second > 0) key(out, "tokens_per_second", run.tokens_per_second);
  write(out, run.latency);
  out.key("http_statuses"), out.begin_object();
  for (const auto& [status, count] : run.http_statuses) key(out, std::to_string(status).c_str(), count);
  out.end_object();
  if (!run.stage_ms.empty()) {
    out.key("stage_mean_ms"), out.begin_object();
    for (const auto& [name, ms] : run.stage_ms) key(out, name.c_str(), ms);
    out.end_object();
  }
  if (!run.first_error.empty()) key(out, "first_error", run.first_error);
  out.end_object();
}

}  // namespace

double percentile(const std::vector<double>& rising, double share) {
  if (rising.empty()) return 0;
  const double rank = std::ceil(share * static_cast<double>(rising.size()));
  return rising[static_cast<size_t>(std::clamp(rank, 1.0, static_cast<double>(rising.size()))) - 1];
}

Summary summarize(const LoadRun& run) {
  Summary made;
  made.offered = run.offered, made.clients = run.clients, made.seconds = run.seconds;
  made.sent = run.samples.size();
  if (!run.first_error.ok()) made.first_error = std::string(message_of(run.first_error));
  uint64_t documents = 0, tokens = 0;
  for (const Sample& sample : run.samples) {
    if (sample.http_status != 0) ++made.http_statuses[sample.http_status];
    if (sample.outcome == RequestOutcome::kRefused) ++made.refused;
    if (sample.outcome == RequestOutcome::kFailed) ++made.failed;
    if (sample.outcome == RequestOutcome::kUnanswered) ++made.unanswered;
    if (sample.outcome != RequestOutcome::kAnswered) continue;
    ++made.answered;
    documents += sample.documents, tokens += sample.tokens;
    made.latencies.push_back(1e3 * (sample.done - sample.due));
  }
  // The last answers may come after the last request: the rate is over the time in which answers came.
  double end = run.seconds;
  for (const Sample& sample : run.samples) end = std::max(end, sample.done);
  if (end > 0) {
    made.requests_per_second = static_cast<double>(made.answered) / end;
    made.documents_per_second = static_cast<double>(documents) / end;
    made.tokens_per_second = static_cast<double>(tokens) / end;
  }
  for (const auto& [name, sum] : run.stage_ms) made.stage_ms[name] = sum / static_cast<double>(made.answered);
  std::sort(made.latencies.begin(), made.latencies.end());
  if (made.answered > 0) {
    const auto& all = made.latencies;
    made.latency = {std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size()),
                    percentile(all, 0.5),
                    percentile(all, 0.9),
                    percentile(all, 0.95),
                    percentile(all, 0.99),
                    percentile(all, 0.999),
                    all.back()};
  }
  return made;
}

std::string to_json(const BenchReport& report) {
  JsonWriter out(JsonStyle::kIndented);
  out.begin_object();
  key(out, "target", report.target);
  out.key("workload"), out.begin_object();
  key(out, "documents_per_request", report.workload.documents_per_request);
  key(out, "document_tokens", report.workload.document_tokens);
  key(out, "query_tokens", report.workload.query_tokens);
  key(out, "top_n", report.workload.top_n);
  key(out, "distinct_requests", report.workload.distinct);
  if (report.workload.distinct > 0) key(out, "zipf", report.workload.zipf);
  key(out, "seed", static_cast<size_t>(report.workload.seed));
  out.end_object();
  out.key("runs"), out.begin_array();
  for (const Summary& run : report.runs) write(out, run);
  out.end_array();
  out.end_object();
  return out.take() + "\n";
}

}  // namespace rerank::load
