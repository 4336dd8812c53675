// What `rerankd lengths` found, as table, JSON and pictures.

#include <algorithm>
#include <cstdio>

#include "base/json/writer.h"
#include "base/strings.h"
#include "eval/lengths.h"
#include "eval/reports/aligned.h"
#include "report/chart.h"
#include "report/html_page.h"

namespace rerank::eval {
namespace {

using Json = JsonWriter;
std::string format(const char* form, double a, double b = 0, double c = 0) {
  char out[96];
  std::snprintf(out, sizeof out, form, a, b, c);
  return out;
}

Rows percentile_rows(const LengthsReport& report) {
  Rows rows = {{"tokens"}, {"document"}, {"pair"}};
  for (double p : kPercentiles) {
    rows[0].push_back(p == 100 ? "longest" : format("%.0f %%", p));
    rows[1].push_back(std::to_string(percentile(report.documents, p)));
    rows[2].push_back(std::to_string(percentile(report.pairs, p)));
  }
  if (report.documents.empty()) rows.erase(rows.begin() + 1);
  return rows;
}

Rows limit_rows(const LengthsReport& report) {
  Rows rows = {{"limit", "pairs cut", "tokens lost", "tokens/pair"}};
  const bool timed = !report.cost.empty(), judged = !report.rows.empty() && report.rows.back().ndcg;
  if (timed) rows[0].insert(rows[0].end(), {"ms/100 pairs", "pairs/s"});
  if (judged) rows[0].insert(rows[0].end(), {"ndcg@10 (95 %)", "difference to the longest"});
  for (const LimitRow& r : report.rows) {
    std::vector<std::string> row = {std::to_string(r.limit), format("%.1f %%", 100 * r.cut),
                                    format("%.1f %%", 100 * r.lost), format("%.0f", r.tokens)};
    if (timed) row.insert(row.end(), {format("%.0f", 1e5 * r.seconds), format("%.1f", 1 / r.seconds)});
    if (r.ndcg) row.push_back(format("%.4f (%.4f to %.4f)", r.ndcg->mean, r.ndcg->low, r.ndcg->high));
    if (judged && r.difference) {
      const Interval& d = r.difference->difference;
      row.push_back(format("%+.4f (%+.4f to %+.4f)", d.mean, d.low, d.high));
    } else if (judged) {
      row.push_back(r.ndcg ? "" : "not measured");
    }
    rows.push_back(row);
  }
  return rows;
}

// Share of pairs up to each length, with the limits as ticks.
std::string distribution_chart(const LengthsReport& report) {
  report::Chart chart;
  chart.title = "Pairs by length";
  chart.x = {"tokens of a pair", true, {}, {}, {}};
  chart.y = {"share of pairs not longer", false, 0.0, 1.0, {}};
  chart.series.push_back({"pairs", {}});
  const size_t step = std::max<size_t>(1, report.pairs.size() / 300);
  for (size_t i = 0; i < report.pairs.size(); i += step) {
    const double share = static_cast<double>(i + 1) / static_cast<double>(report.pairs.size());
    chart.series[0].points.push_back({static_cast<double>(std::max(1u, report.pairs[i])), share, {}, {}, ""});
  }
  chart.series[0].points.push_back({static_cast<double>(std::max(1u, report.pairs.back())), 1, {}, {}, ""});
  return report::svg_lines(chart);
}

std::string time_chart(const LengthsReport& report) {
  report::Chart chart;
  chart.title = "Time by limit";
  chart.x = {"limit, tokens of a pair", true, {}, {}, {}};
  chart.y = {"ms for 100 pairs", false, 0.0, {}, {}};
  chart.series.push_back({"time", {}});
  for (const LimitRow& r : report.rows) {
    chart.x.ticks.push_back(static_cast<double>(r.limit));
    chart.series[0].points.push_back({static_cast<double>(r.limit), 1e5 * r.seconds, {}, {}, ""});
  }
  return report::svg_lines(chart);
}

std::string quality_chart(const LengthsReport& report) {
  report::Chart chart;
  chart.title = "Quality against time, a point per limit";
  chart.x = {"ms for 100 pairs", false, 0.0, {}, {}};
  chart.y.label = "ndcg@10, 95 %";
  chart.series.push_back({"ndcg@10", {}});
  for (const LimitRow& r : report.rows) {
    if (!r.ndcg) continue;
    chart.series[0].points.push_back({1e5 * r.seconds, r.ndcg->mean, r.ndcg->low, r.ndcg->high,
                                      str_cat("limit ", r.limit, ": ", format("%.4f", r.ndcg->mean)),
                                      std::to_string(r.limit)});
  }
  return report::svg_lines(chart);
}

std::vector<std::string> charts(const LengthsReport& report) {
  std::vector<std::string> svgs = {distribution_chart(report)};
  if (!report.cost.empty()) svgs.push_back(time_chart(report));
  if (!report.cost.empty() && report.rows.back().ndcg) svgs.push_back(quality_chart(report));
  return svgs;
}

void write_percentiles(Json& json, const char* name, const std::vector<uint32_t>& values) {
  json.key(name), json.begin_object();
  for (double p : kPercentiles) json.key(format("p%.0f", p).c_str()), json.value(percentile(values, p));
  json.end_object();
}

std::string recommendation(const LengthsReport& report) {
  return report.recommended > 0 ? str_cat("--max-length ", report.recommended) : "nothing";
}

}  // namespace

std::string lengths_table(const LengthsReport& report) {
  return str_cat(aligned(percentile_rows(report), FirstColumn::kRight), "\n",
                 aligned(limit_rows(report), FirstColumn::kRight), "\nrecommended: ", recommendation(report), " (",
                 report.reason, ")\n");
}

std::string lengths_json(const LengthsReport& report) {
  JsonWriter json(JsonStyle::kIndented);
  json.begin_object();
  json.key("source"), json.value(report.source.c_str());
  json.key("model"), json.value(report.model.c_str());
  json.key("texts"), json.value(report.texts);
  json.key("judged_queries"), json.value(report.queries);
  write_percentiles(json, "document_tokens", report.documents);
  write_percentiles(json, "pair_tokens", report.pairs);
  json.key("limits"), json.begin_array();
  for (const LimitRow& r : report.rows) {
    json.begin_object();
    json.key("limit"), json.value(r.limit);
    json.key("truncated_share"), json.value(r.cut);
    json.key("lost_token_share"), json.value(r.lost);
    json.key("tokens_per_pair"), json.value(r.tokens);
    if (!report.cost.empty()) json.key("seconds_per_pair"), json.value(r.seconds);
    if (r.ndcg) {
      json.key("ndcg@10"), json.value(r.ndcg->mean);
      json.key("interval"), json.begin_array(), json.value(r.ndcg->low), json.value(r.ndcg->high), json.end_array();
    }
    if (r.difference) {
      json.key("difference"), json.value(r.difference->difference.mean);
      json.key("p"), json.value(r.difference->p);
    }
    json.end_object();
  }
  json.end_array();
  json.key("measured_cost"), json.begin_array();
  for (const CostPoint& c : report.cost) {
    json.begin_object();
    json.key("tokens"), json.value(c.tokens);
    json.key("seconds"), json.value(c.seconds);
    json.end_object();
  }
  json.end_array();
  json.key("recommended_max_length");
  report.recommended > 0 ? json.value(report.recommended) : json.null();
  json.key("reason"), json.value(report.reason.c_str());
  json.end_object();
  return json.take() + "\n";
}

std::string lengths_html(const LengthsReport& report) {
  report::HtmlPage page(str_cat("Lengths of ", report.source));
  page.verdict(str_cat("Recommended: ", recommendation(report), ", ", report.reason, "."));
  page.paragraph(str_cat(report.texts, " texts, tokens of ", report.model, "."));
  page.table(percentile_rows(report));
  for (const std::string& svg : charts(report)) page.figure(svg);
  page.heading("What each limit means").table(limit_rows(report));
  return page.take();
}

std::string lengths_svg(const LengthsReport& report) {
  const auto svgs = charts(report);
  std::string all = str_cat("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 720 ", 370 * svgs.size(), "'>");
  for (size_t i = 0; i < svgs.size(); ++i)
    all += str_cat("<svg x='0' y='", 370 * i, "' width='720' height='360'>", svgs[i], "</svg>");
  return all + "</svg>\n";
}

}  // namespace rerank::eval
