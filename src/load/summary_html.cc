#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "load/summary.h"
#include "report/chart.h"
#include "report/html_page.h"

namespace rerank::load {
namespace {

std::string load_of(const Summary& run) {
  return run.clients > 0 ? str_cat(run.clients, run.clients == 1 ? " client" : " clients")
                         : str_cat(report::format_number(run.offered), "/s");
}

std::vector<std::string> row(const Summary& run) {
  std::vector<std::string> cells = {load_of(run), str_cat(run.answered)};
  for (double value : {run.requests_per_second, run.documents_per_second, run.latency.mean, run.latency.p50,
                       run.latency.p90, run.latency.p99, run.latency.max}) {
    cells.push_back(report::format_number(value));
  }
  cells.push_back(str_cat(run.refused));
  cells.push_back(str_cat(run.failed + run.unanswered));
  return cells;
}

// Latency percentiles over the throughput reached: where the curve turns up is the capacity.
report::Chart curve(const BenchReport& report) {
  report::Chart chart;
  chart.title = "Latency over throughput";
  chart.x.label = "answered requests per second";
  chart.y.label = "ms";
  chart.y.logarithmic = true;
  chart.series = {{"P50", {}}, {"P95", {}}, {"P99", {}}};
  for (const Summary& run : report.runs) {
    if (run.answered == 0) continue;
    const double values[] = {run.latency.p50, run.latency.p95, run.latency.p99};
    for (size_t i = 0; i < 3; ++i) {
      report::ChartPoint point;
      point.x = run.requests_per_second, point.y = std::max(values[i], 1e-3);
      point.note = str_cat(load_of(run), ": ", report::format_number(values[i]), " ms");
      chart.series[i].points.push_back(point);
    }
  }
  return chart;
}

// The whole distribution of each run: the share of requests that took longer, down to the last one.
report::Chart tail(const BenchReport& report) {
  report::Chart chart;
  chart.title = "Latency distribution";
  chart.x.label = "percentile";
  chart.x.low = 0, chart.x.high = 100;
  chart.y.label = "ms";
  chart.y.logarithmic = true;
  constexpr size_t kShown = 6;  // as many as colours tell apart
  for (const Summary& run : report.runs) {
    if (run.latencies.empty() || chart.series.size() == kShown) continue;
    report::ChartSeries series{load_of(run), {}};
    for (double share : {1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.9}) {
      report::ChartPoint point;
      point.x = share, point.y = std::max(percentile(run.latencies, share / 100), 1e-3);
      series.points.push_back(point);
    }
    chart.series.push_back(std::move(series));
  }
  return chart;
}

// Where the time of an answer goes, as the target tells it.
report::Chart breakdown(const BenchReport& report) {
  report::Chart chart;
  chart.title = "Mean time of each stage";
  chart.y.label = "ms";
  for (const char* stage : {"cache", "tokenize", "queue", "compute", "total"}) chart.series.push_back({stage, {}});
  for (const Summary& run : report.runs) {
    if (run.stage_ms.empty()) continue;
    chart.categories.push_back(load_of(run));
    for (report::ChartSeries& series : chart.series) {
      const auto found = run.stage_ms.find(series.name);
      report::ChartPoint point;
      point.y = found == run.stage_ms.end() ? 0 : found->second;
      point.note = str_cat(series.name, ": ", report::format_number(point.y), " ms");
      series.points.push_back(point);
    }
  }
  return chart;
}

// How long the documents are: a histogram of about twenty bars up to the longest.
report::Chart lengths(const BenchReport& report) {
  constexpr size_t kBars = 20;
  report::Chart chart;
  chart.title = "Length of documents";
  chart.x.label = "tokens, up to";
  chart.y.label = "documents";
  const size_t longest = *std::max_element(report.document_tokens.begin(), report.document_tokens.end());
  const size_t width = longest / kBars + 1;
  std::vector<size_t> counts(longest / width + 1);
  for (size_t tokens : report.document_tokens) ++counts[tokens / width];
  chart.series = {{"documents", {}}};
  for (size_t i = 0; i < counts.size(); ++i) {
    chart.categories.push_back(str_cat((i + 1) * width - 1));
    report::ChartPoint point;
    point.y = static_cast<double>(counts[i]);
    chart.series[0].points.push_back(point);
  }
  return chart;
}

}  // namespace

std::string capacity_sentence(const BenchReport& report) {
  constexpr double kPatienceMs = 1000;
  const Summary* best = nullptr;
  for (const Summary& run : report.runs) {
    const bool good =
        run.answered > 0 && run.refused + run.failed + run.unanswered == 0 && run.latency.p95 <= kPatienceMs;
    if (good && (!best || run.requests_per_second > best->requests_per_second)) best = &run;
  }
  if (!best) return "No load that was tried is answered within a second (95 %) without refusals.";
  return str_cat("Up to ", report::format_number(best->requests_per_second),
                 " requests a second were answered, 95 % within ", report::format_number(best->latency.p95),
                 " ms: as many as ", report::format_number(std::floor(60 * best->requests_per_second)),
                 " users make who ask once a minute.");
}

std::string to_html(const BenchReport& report) {
  const WorkloadOptions& w = report.workload;
  report::HtmlPage page("rerankd bench");
  page.verdict(capacity_sentence(report));
  page.paragraph(report.target);
  page.paragraph(str_cat(w.documents_per_request, " documents of ", w.document_tokens,
                         " tokens per request, queries of ", w.query_tokens, " tokens, ",
                         w.distinct == 0
                             ? std::string("every request new")
                             : str_cat(w.distinct, " different requests, Zipf ", report::format_number(w.zipf)),
                         ", seed ", w.seed, ". Latency counts from when a request was due."));
  std::vector<std::vector<std::string>> rows = {
      {"load", "answered", "requests/s", "documents/s", "mean ms", "P50", "P90", "P99", "max", "refused", "failed"}};
  for (const Summary& run : report.runs) rows.push_back(row(run));
  page.table(rows);
  page.figure(report::svg_lines(curve(report))).figure(report::svg_lines(tail(report)));
  if (const report::Chart stages = breakdown(report); !stages.categories.empty()) page.figure(report::svg_bars(stages));
  if (!report.document_tokens.empty()) page.figure(report::svg_bars(lengths(report)));
  return page.take();
}

}  // namespace rerank::load
