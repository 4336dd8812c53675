// What `rerankd calibrate` found, as table, JSON and pictures.

#include <cstdio>

#include "base/json/writer.h"
#include "base/strings.h"
#include "eval/depth.h"
#include "eval/reports/aligned.h"
#include "report/chart.h"
#include "report/html_page.h"

namespace rerank::eval {
namespace {

std::string format(const char* form, double value) {
  char out[64];
  std::snprintf(out, sizeof out, form, value);
  return out;
}

double speedup(const DepthReport& report, const DepthRow& row) {
  return row.seconds > 0 ? report.rows.back().seconds / row.seconds : 0;
}

Rows rows_of(const DepthReport& report) {
  Rows rows = {{"layers", "pairs/s", "faster", "exit: error", "explained", "tau", "top-1", "top-5", "dropped: tau",
                "top-1", "top-5"}};
  for (const DepthRow& r : report.rows) {
    rows.push_back({std::to_string(r.layers), format("%.1f", r.seconds > 0 ? 1 / r.seconds : 0),
                    format("%.2fx", speedup(report, r)), format("%.3f", r.error), format("%.3f", r.explained),
                    format("%.3f", r.tau), format("%.3f", r.top1), format("%.3f", r.top5), format("%.3f", r.plain_tau),
                    format("%.3f", r.plain_top1), format("%.3f", r.plain_top5)});
  }
  return rows;
}

Rows adaptive_rows(const DepthReport& report) {
  Rows rows = {{"target", "margin", "top-5 reached", "layers/pair", "layers saved"}};
  for (const AdaptiveRow& r : report.adaptive) {
    const double all = static_cast<double>(report.rows.size());
    if (!r.reached) {
      rows.push_back({format("%.3f", r.target), "none: more --pairs", "", "", ""});
      continue;
    }
    rows.push_back({format("%.3f", r.target), format("%.2f", r.margin), format("%.3f", r.top5),
                    format("%.2f", r.layers), format("%.2fx", all / r.layers)});
  }
  return rows;
}

report::Chart agreement_chart(const DepthReport& report) {
  report::Chart chart;
  chart.title = "Agreement with the full depth, on lists not fitted to";
  chart.x.label = "layers computed";
  chart.y = {"share", false, 0.0, 1.0, {}};
  chart.series = {{"first place, exit heads", {}},
                  {"first place, layers dropped", {}},
                  {"first five, exit heads", {}},
                  {"first five, layers dropped", {}}};
  for (const DepthRow& r : report.rows) {
    const auto x = static_cast<double>(r.layers);
    const double values[] = {r.top1, r.plain_top1, r.top5, r.plain_top5};
    chart.x.ticks.push_back(x);
    for (size_t s = 0; s < chart.series.size(); ++s) chart.series[s].points.push_back({x, values[s], {}, {}, ""});
  }
  return chart;
}

report::Chart time_chart(const DepthReport& report) {
  report::Chart chart;
  chart.title = "First place in common, against speed";
  chart.x.label = "times as fast as the full depth";
  chart.y = {"share", false, 0.0, 1.0, {}};
  chart.series = {{"exit heads", {}}, {"layers dropped", {}}};
  for (const DepthRow& r : report.rows) {
    const std::string layers = str_cat(r.layers, " layers: ");
    chart.series[0].points.push_back({speedup(report, r), r.top1, {}, {}, layers + format("%.3f", r.top1)});
    chart.series[1].points.push_back({speedup(report, r), r.plain_top1, {}, {}, layers + format("%.3f", r.plain_top1)});
  }
  return chart;
}

}  // namespace

std::string depth_table(const DepthReport& report) {
  const std::string out =
      str_cat(aligned(rows_of(report), FirstColumn::kRight), "\nleaving at exits, for the first five, simulated:\n",
              aligned(adaptive_rows(report), FirstColumn::kRight));
  return str_cat(out, "\n", report.fitted_pairs, " pairs fitted to; agreement over ", report.held_lists, " lists (",
                 report.held_pairs, " pairs) held out; ", format("%.0f", report.tokens), " tokens per pair; ",
                 report.precision, ", kernel ", report.kernel, "\n");
}

std::string depth_json(const DepthReport& report) {
  JsonWriter json(JsonStyle::kIndented);
  auto number = [&](const char* name, double value) { json.key(name), json.value(value); };
  json.begin_object();
  json.key("model"), json.value(report.model.c_str());
  json.key("texts"), json.value(report.texts.c_str());
  json.key("precision"), json.value(report.precision.c_str());
  json.key("kernel"), json.value(report.kernel.c_str());
  json.key("fitted_pairs"), json.value(report.fitted_pairs);
  json.key("held_out_lists"), json.value(report.held_lists);
  json.key("held_out_pairs"), json.value(report.held_pairs);
  number("tokens_per_pair", report.tokens);
  json.key("depths"), json.begin_array();
  for (const DepthRow& r : report.rows) {
    json.begin_object();
    json.key("layers"), json.value(r.layers);
    number("seconds_per_pair", r.seconds);
    number("speedup", speedup(report, r));
    number("exit_error", r.error);
    number("exit_explained", r.explained);
    number("exit_kendall_tau", r.tau);
    number("exit_top1", r.top1);
    number("exit_top5", r.top5);
    number("dropped_kendall_tau", r.plain_tau);
    number("dropped_top1", r.plain_top1);
    number("dropped_top5", r.plain_top5);
    number("penalty", r.penalty);
    json.end_object();
  }
  json.end_array();
  json.key("simulated_early_leaving"), json.begin_array();
  for (const AdaptiveRow& r : report.adaptive) {
    json.begin_object();
    number("target_top5", r.target);
    json.key("reached"), json.value(r.reached);
    number("margin", r.margin);
    number("top5", r.top5);
    number("layers_per_pair", r.layers);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.take() + "\n";
}

std::string depth_svg(const DepthReport& report) { return report::svg_lines(agreement_chart(report)) + "\n"; }

std::string depth_html(const DepthReport& report) {
  report::HtmlPage page(str_cat("Depth of ", report.model));
  page.paragraph(str_cat("Texts: ", report.texts, ". ", report.fitted_pairs, " pairs fitted to, ", report.held_lists,
                         " lists held out. Exit heads guess the final logit from an earlier layer; dropping layers "
                         "lets the model's own head read it."));
  page.figure(report::svg_lines(agreement_chart(report))).figure(report::svg_lines(time_chart(report)));
  page.table(rows_of(report));
  page.heading("What leaving at exits would save, for the first five (simulated)").table(adaptive_rows(report));
  return page.take();
}

}  // namespace rerank::eval
