// The HTML page of an evaluation: figures as a table, and what a table hides as plots.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/strings.h"
#include "eval/reports/report.h"
#include "report/chart.h"
#include "report/html_page.h"

namespace rerank::eval {
namespace {

std::string format(const char* form, double a, double b = 0, double c = 0) {
  char out[96];
  std::snprintf(out, sizeof out, form, a, b, c);
  return out;
}

std::string name_of(const SettingResult& s) { return s.name.empty() ? s.info.id : s.name; }

report::ChartSeries series_of(const std::string& name, const Measured& measured, const std::vector<Interval>& intervals,
                              const std::vector<std::string>& measures) {
  report::ChartSeries series{name, {}};
  for (const std::string& measure : measures) {
    const size_t m = measured.find(measure);
    const Interval& i = intervals[m];
    series.points.push_back({0, i.mean, i.low, i.high,
                             str_cat(name, ", ", measure, ": ", format("%.4f (%.4f to %.4f)", i.mean, i.low, i.high))});
  }
  return series;
}

template <class Add>
void each_row(const EvalReport& report, const Add& add) {
  if (report.baseline) add(std::string("candidates"), *report.baseline, report.baseline_intervals);
  for (const SettingResult& s : report.settings) add(name_of(s), s.measured, s.intervals);
}

std::string measures_chart(const EvalReport& report) {
  report::Chart chart;
  chart.title = "Measures with 95 % intervals";
  chart.categories = {"ndcg@10", "mrr@10", "map", "recall@10", "top1"};
  each_row(report, [&](const std::string& name, const Measured& m, const std::vector<Interval>& i) {
    chart.series.push_back(series_of(name, m, i, chart.categories));
  });
  return report::svg_bars(chart);
}

std::string ndcg_chart(const EvalReport& report) {
  report::Chart chart;
  chart.title = "NDCG by how far down one looks";
  chart.x = {"cutoff k", true, {}, {}, {1, 3, 5, 10, 20, 100}};
  chart.y.label = "ndcg@k";
  each_row(report, [&](const std::string& name, const Measured& m, const std::vector<Interval>& i) {
    report::ChartSeries series =
        series_of(name, m, i, {"ndcg@1", "ndcg@3", "ndcg@5", "ndcg@10", "ndcg@20", "ndcg@100"});
    for (size_t k = 0; k < series.points.size(); ++k) series.points[k].x = chart.x.ticks[k];
    chart.series.push_back(std::move(series));
  });
  return report::svg_lines(chart);
}

// Each query's gain, from the largest to the largest loss: an average of many small gains looks unlike one of a few
// large ones.
std::string gains_chart(const Measured& from, const Measured& to, const std::string& title) {
  const size_t m = from.find("ndcg@10");
  std::vector<std::pair<double, std::string>> gains;
  for (size_t q = 0; q < from.queries.size(); ++q)
    gains.emplace_back(to.values[m][q] - from.values[m][q], from.queries[q]);
  std::sort(gains.begin(), gains.end(), std::greater<>());
  report::Chart chart;
  chart.title = title;
  chart.x.label = "queries, from the largest gain to the largest loss";
  chart.y.label = "difference of ndcg@10";
  chart.series.emplace_back();
  const size_t step = std::max<size_t>(1, gains.size() / 1500);
  for (size_t q = 0; q < gains.size(); q += step) {
    chart.series[0].points.push_back({static_cast<double>(q),
                                      gains[q].first,
                                      {},
                                      {},
                                      str_cat("query ", gains[q].second, ": ", format("%+.3f", gains[q].first))});
  }
  return report::svg_points(chart);
}

std::string scores_chart(const SettingResult& a, const SettingResult& b) {
  report::Chart chart;
  chart.title = "Logits of the same pairs";
  chart.x.label = name_of(a);
  chart.y.label = name_of(b);
  chart.series.emplace_back();
  size_t pairs = 0, seen = 0;
  for (const auto& [query, documents] : a.scored.run) pairs += documents.size();
  const size_t step = std::max<size_t>(1, pairs / 2000);
  for (const auto& [query, documents] : a.scored.run) {
    auto other = b.scored.run.find(query);
    if (other == b.scored.run.end() || other->second.size() != documents.size()) continue;
    for (size_t i = 0; i < documents.size(); ++i) {
      if (seen++ % step != 0) continue;
      chart.series[0].points.push_back({documents[i].score,
                                        other->second[i].score,
                                        {},
                                        {},
                                        str_cat("query ", query, ", document ", documents[i].id)});
    }
  }
  return report::svg_points(chart);
}

// The queries whose ndcg@10 changed most, with their texts: what the mean does not show.
void add_most_changed(report::HtmlPage& page, const EvalReport& report, const Measured& from, const Measured& to) {
  constexpr size_t kShown = 10;
  const size_t m = from.find("ndcg@10");
  std::vector<size_t> order(from.queries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto change = [&](size_t q) { return to.values[m][q] - from.values[m][q]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::abs(change(a)) > std::abs(change(b)); });
  std::vector<std::vector<std::string>> rows = {{"most changed questions", "before", "after", "change"}};
  for (size_t q : order) {
    if (rows.size() > kShown || change(q) == 0) break;
    const auto text = report.texts.find(from.queries[q]);
    rows.push_back({text == report.texts.end() ? from.queries[q] : text->second, format("%.3f", from.values[m][q]),
                    format("%.3f", to.values[m][q]), format("%+.3f", change(q))});
  }
  if (rows.size() > 1) page.table(rows);
}

void add_measures(report::HtmlPage& page, const EvalReport& report) {
  std::vector<std::vector<std::string>> rows = {{"measure"}};
  each_row(report, [&](const std::string& name, const Measured&, const auto&) { rows[0].push_back(name); });
  const std::vector<Measure>& measures = report.settings.front().measured.measures;
  for (size_t m = 0; m < measures.size(); ++m) {
    std::vector<std::string> row = {measures[m].name()};
    each_row(report, [&](const std::string&, const Measured&, const std::vector<Interval>& i) {
      row.push_back(format("%.4f (%.4f to %.4f)", i[m].mean, i[m].low, i[m].high));
    });
    rows.push_back(row);
  }
  page.table(rows);
}

void add_tests(report::HtmlPage& page, const std::vector<Measure>& measures, const std::vector<PairedTest>& tests) {
  std::vector<std::vector<std::string>> rows = {{"measure", "difference", "p", "better", "worse", "equal"}};
  for (size_t m = 0; m < tests.size(); ++m) {
    const PairedTest& t = tests[m];
    rows.push_back({measures[m].name(),
                    format("%+.4f (%+.4f to %+.4f)", t.difference.mean, t.difference.low, t.difference.high),
                    format("%.4f", t.p), std::to_string(t.wins), std::to_string(t.losses), std::to_string(t.ties)});
  }
  page.table(rows);
}

void add_cost(report::HtmlPage& page, const EvalReport& report) {
  std::vector<std::vector<std::string>> rows = {
      {"setting", "model", "precision", "kernel", "pairs", "tokens per pair", "cut", "pairs/s"}};
  for (const SettingResult& s : report.settings) {
    const ScoringCost& c = s.scored.cost;
    const double pairs = static_cast<double>(std::max<uint64_t>(1, c.pairs));
    rows.push_back({name_of(s), s.info.version(), s.info.precision, s.info.kernel, std::to_string(c.pairs),
                    format("%.0f", static_cast<double>(c.tokens) / pairs),
                    format("%.1f %%", 100 * static_cast<double>(c.truncated) / pairs),
                    format("%.1f", c.pairs_per_second())});
  }
  page.heading("What it cost").table(rows);
}

}  // namespace

std::string report_html(const EvalReport& report) {
  const SettingResult& first = report.settings.front();
  report::HtmlPage page(str_cat(first.info.id, " on ", report.collection));
  const size_t ndcg = first.measured.find("ndcg@10");
  if (report.baseline) {
    page.verdict(
        str_cat("Against the candidates' own order: ", verdict_of(first.against_baseline[ndcg], report.queries), "."));
  }
  for (size_t i = 1; i < report.settings.size(); ++i) {
    const SettingResult& s = report.settings[i];
    page.verdict(
        str_cat(s.name, " against ", name_of(first), ": ", verdict_of(s.against_first[ndcg], report.queries), "."));
  }
  page.paragraph(str_cat(report.queries, " judged queries", report.split.empty() ? "" : ", split " + report.split, ", ",
                         report.documents, " documents; candidates: ", report.candidates,
                         report.top_k > 0 ? str_cat(", first ", report.top_k) : "",
                         ". Intervals: 95 %, bootstrap over queries; p: random exchange within queries."));
  page.figure(measures_chart(report)).figure(ndcg_chart(report));
  page.heading("Measures");
  add_measures(page, report);
  if (report.baseline) {
    page.heading("Gain over the candidates' own order");
    add_tests(page, first.measured.measures, first.against_baseline);
    page.figure(gains_chart(*report.baseline, first.measured, "Gain of each query over the candidates' order"));
    add_most_changed(page, report, *report.baseline, first.measured);
  }
  for (size_t i = 1; i < report.settings.size(); ++i) {
    const SettingResult& s = report.settings[i];
    page.heading(str_cat(s.name, " against ", name_of(first)));
    add_tests(page, s.measured.measures, s.against_first);
    const Agreement& a = *s.agreement;
    page.table(
        {{"agreement", "Kendall tau", "first place", "first five", "first ten", "largest change of a logit",
          "of a score"},
         {s.name, format("%.4f", a.kendall_tau), format("%.4f", a.top1), format("%.4f", a.top5),
          format("%.4f", a.top10), format("%.4g", a.largest_logit_change), format("%.4g", a.largest_score_change)}});
    page.figure(scores_chart(first, s));
    page.figure(gains_chart(first.measured, s.measured, str_cat("Difference of each query: ", s.name)));
    add_most_changed(page, report, first.measured, s.measured);
  }
  add_cost(page, report);
  return page.take();
}

}  // namespace rerank::eval
