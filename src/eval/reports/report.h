// The answer of an evaluation: what was measured, as a table for the terminal, as JSON, and as an HTML page with plots.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/evaluate.h"
#include "eval/measures/metrics.h"
#include "eval/measures/statistics.h"

namespace rerank::eval {

// One setting of the reranker over the candidates. The first of a report is the one that all others are held against.
struct SettingResult {
  std::string name;  // "precision=fp32"; of the first: empty
  ModelInfo info;
  Scored scored;
  Measured measured;
  // Filled by complete_report():
  std::vector<Interval> intervals;           // per measure
  std::vector<PairedTest> against_baseline;  // empty: there is none
  std::vector<PairedTest> against_first;     // empty for the first
  std::optional<Agreement> agreement;        // with the first
};

struct EvalReport {
  std::string collection, split;
  size_t documents = 0, queries = 0, without_relevant = 0;
  std::map<std::string, std::string> texts;  // of queries by id; may lack some
  std::string candidates;                    // "bm25 (stemmer porter)", a file's name, "all"
  size_t top_k = 0;
  std::optional<Measured> baseline;  // the candidates in their own order
  std::vector<Interval> baseline_intervals;
  std::vector<SettingResult> settings;
};

// Computes intervals, tests and agreement from what was measured.
void complete_report(EvalReport& report);

// What a comparison comes to, in a sentence: "better by 0.0200 ndcg@10 on 323 questions (p = 0.010)", or that so few
// do not decide it. `test`: of ndcg@10.
std::string verdict_of(const PairedTest& test, size_t queries);

std::string report_table(const EvalReport& report);
std::string report_json(const EvalReport& report);
std::string report_html(const EvalReport& report);

}  // namespace rerank::eval
