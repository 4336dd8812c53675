#include "eval/reports/report.h"
#include "base/json/writer.h"

#include <cstdio>

#include "base/strings.h"
#include "eval/reports/aligned.h"

namespace rerank::eval {
namespace {

using Json = JsonWriter;

void key(Json& json, std::string_view name) { json.key(name); }

void text(Json& json, std::string_view name, std::string_view value) {
  key(json, name);
  json.value(value);
}

void write_means(Json& json, std::string_view name, const Measured& measured) {
  key(json, name);
  json.begin_object();
  for (size_t m = 0; m < measured.measures.size(); ++m) {
    key(json, measured.measures[m].name());
    json.value(measured.mean(m));
  }
  json.end_object();
}

void write_intervals(Json& json, std::string_view name, const Measured& measured,
                     const std::vector<Interval>& intervals) {
  key(json, name);
  json.begin_object();
  for (size_t m = 0; m < intervals.size(); ++m) {
    key(json, measured.measures[m].name());
    json.begin_array();
    json.value(intervals[m].low);
    json.value(intervals[m].high);
    json.end_array();
  }
  json.end_object();
}

void write_tests(Json& json, std::string_view name, const Measured& measured, const std::vector<PairedTest>& tests) {
  if (tests.empty()) return;
  key(json, name);
  json.begin_object();
  for (size_t m = 0; m < tests.size(); ++m) {
    const PairedTest& t = tests[m];
    key(json, measured.measures[m].name());
    json.begin_object();
    key(json, "difference"), json.value(t.difference.mean);
    key(json, "low"), json.value(t.difference.low);
    key(json, "high"), json.value(t.difference.high);
    key(json, "p"), json.value(t.p);
    key(json, "wins"), json.value(t.wins);
    key(json, "losses"), json.value(t.losses);
    key(json, "ties"), json.value(t.ties);
    json.end_object();
  }
  json.end_object();
}

void write_cost(Json& json, const ScoringCost& cost) {
  key(json, "cost");
  json.begin_object();
  key(json, "pairs"), json.value(cost.pairs);
  key(json, "tokens"), json.value(cost.tokens);
  key(json, "truncated"), json.value(cost.truncated);
  key(json, "unknown_documents"), json.value(cost.unknown);
  key(json, "from_earlier_runs"), json.value(cost.from_store);
  key(json, "seconds"), json.value(cost.seconds);
  key(json, "pairs_per_second"), json.value(cost.pairs_per_second());
  json.end_object();
}

void write_model(Json& json, const ModelInfo& info) {
  key(json, "model");
  json.begin_object();
  text(json, "id", info.id);
  text(json, "engine", info.engine);
  text(json, "precision", info.precision);
  text(json, "kernel", info.kernel);
  text(json, "fingerprint", info.fingerprint);
  key(json, "max_length"), json.value(info.max_length);
  key(json, "threads"), json.value(info.threads);
  json.end_object();
}

void write_agreement(Json& json, const Agreement& a) {
  key(json, "agreement");
  json.begin_object();
  key(json, "kendall_tau"), json.value(a.kendall_tau);
  key(json, "top1_overlap"), json.value(a.top1);
  key(json, "top5_overlap"), json.value(a.top5);
  key(json, "top10_overlap"), json.value(a.top10);
  key(json, "mean_logit_change"), json.value(a.mean_logit_change);
  key(json, "largest_logit_change"), json.value(a.largest_logit_change);
  key(json, "largest_score_change"), json.value(a.largest_score_change);
  json.end_object();
}

void write_setting(Json& json, const SettingResult& s) {
  write_model(json, s.info);
  write_means(json, "metrics", s.measured);
  write_intervals(json, "intervals", s.measured, s.intervals);
  write_tests(json, "against_baseline", s.measured, s.against_baseline);
  write_tests(json, "against_first", s.measured, s.against_first);
  if (s.agreement) write_agreement(json, *s.agreement);
  write_cost(json, s.scored.cost);
}

std::string format(const char* form, double a, double b = 0, double c = 0) {
  char out[96];
  std::snprintf(out, sizeof out, form, a, b, c);
  return out;
}

}  // namespace

void complete_report(EvalReport& report) {
  auto intervals = [](const Measured& m) {
    std::vector<Interval> result;
    for (const auto& values : m.values) result.push_back(bootstrap_interval(values));
    return result;
  };
  auto tests = [](const Measured& a, const Measured& b) {
    std::vector<PairedTest> result;
    for (size_t m = 0; m < a.values.size(); ++m) result.push_back(paired_test(a.values[m], b.values[m]));
    return result;
  };
  if (report.baseline) report.baseline_intervals = intervals(*report.baseline);
  for (SettingResult& s : report.settings) {
    s.intervals = intervals(s.measured);
    if (report.baseline) s.against_baseline = tests(*report.baseline, s.measured);
    if (&s == &report.settings.front()) continue;
    s.against_first = tests(report.settings.front().measured, s.measured);
    s.agreement = agreement(report.settings.front().scored.run, s.scored.run);
  }
}

std::string verdict_of(const PairedTest& test, size_t queries) {
  char text[128];
  const double change = test.difference.mean;
  if (test.p < 0.05) {
    std::snprintf(text, sizeof text, "%s by %.4f ndcg@10 on %zu questions (p = %.3g)", change < 0 ? "worse" : "better",
                  std::abs(change), queries, test.p);
  } else if (test.wins + test.losses == 0) {
    std::snprintf(text, sizeof text, "the same ndcg@10 on each of %zu questions", queries);
  } else {
    std::snprintf(text, sizeof text, "%s by %.4f ndcg@10, but %zu questions do not decide it (p = %.2f)",
                  change < 0 ? "worse" : "better", std::abs(change), queries, test.p);
  }
  return text;
}

std::string report_table(const EvalReport& report) {
  std::string out;
  for (const SettingResult& s : report.settings) {
    std::vector<std::vector<std::string>> rows = {{"measure"}};
    if (report.baseline) rows[0].emplace_back("candidates");
    rows[0].insert(rows[0].end(), {s.name.empty() ? s.info.id : s.name, "95 % interval"});
    const bool first = s.against_first.empty();
    const std::vector<PairedTest>& tests = first ? s.against_baseline : s.against_first;
    if (!tests.empty()) {
      rows[0].insert(rows[0].end(), {first ? "gain over candidates" : "difference to the first", "p"});
    }
    for (const char* name : {"ndcg@10", "mrr@10", "map", "recall@10", "recall@100", "top1"}) {
      const size_t m = s.measured.find(name);
      std::vector<std::string> row = {name};
      if (report.baseline) row.push_back(format("%.4f", report.baseline->mean(m)));
      row.push_back(format("%.4f", s.measured.mean(m)));
      row.push_back(format("%.4f to %.4f", s.intervals[m].low, s.intervals[m].high));
      if (!tests.empty()) {
        const Interval& d = tests[m].difference;
        row.push_back(format("%+.4f (%+.4f to %+.4f)", d.mean, d.low, d.high));
        row.push_back(format("%.4f", tests[m].p));
      }
      rows.push_back(row);
    }
    out += aligned(rows, FirstColumn::kLeft);
    if (s.agreement) {
      const Agreement& a = *s.agreement;
      out += format("agreement with the first: Kendall tau %.4f, first place %.4f, first five %.4f", a.kendall_tau,
                    a.top1, a.top5);
      out += format(", first ten %.4f; largest change of a logit %.4g, of a score %.4g\n", a.top10,
                    a.largest_logit_change, a.largest_score_change);
    }
    const ScoringCost& c = s.scored.cost;
    out +=
        str_cat(s.info.precision, ", kernel ", s.info.kernel, ": ", c.pairs, " pairs of ",
                format("%.0f tokens on average, %.1f %% cut, %.1f pairs/s",
                       static_cast<double>(c.tokens) / static_cast<double>(std::max<uint64_t>(1, c.pairs)),
                       100.0 * static_cast<double>(c.truncated) / static_cast<double>(std::max<uint64_t>(1, c.pairs)),
                       c.pairs_per_second()),
                c.from_store > 0 ? str_cat(" (", c.from_store, " of them from an earlier run)") : "", "\n\n");
  }
  return out;
}

std::string report_json(const EvalReport& report) {
  JsonWriter json(JsonStyle::kIndented);
  json.begin_object();
  text(json, "collection", report.collection);
  if (!report.split.empty()) text(json, "split", report.split);
  key(json, "documents"), json.value(report.documents);
  key(json, "queries"), json.value(report.queries);
  key(json, "queries_without_relevant"), json.value(report.without_relevant);
  text(json, "candidates", report.candidates);
  key(json, "top_k"), json.value(report.top_k);
  if (report.baseline) {
    write_means(json, "baseline", *report.baseline);
    write_intervals(json, "baseline_intervals", *report.baseline, report.baseline_intervals);
  }
  write_setting(json, report.settings.front());
  key(json, "comparisons");
  json.begin_array();
  for (size_t s = 1; s < report.settings.size(); ++s) {
    json.begin_object();
    text(json, "setting", report.settings[s].name);
    write_setting(json, report.settings[s]);
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.take() + "\n";
}

}  // namespace rerank::eval
