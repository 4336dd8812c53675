// How well a run orders judged documents: NDCG, MRR, recall, MAP, top-1 accuracy, exactly as trec_eval (pytrec_eval)
// computes them: gains are the grades themselves, unjudged documents are not relevant, ties go by document id.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/data/judgments.h"

namespace rerank::eval {

// One measure. `cutoff` 0: the whole list.
struct Measure {
  enum class Kind { kNdcg, kMrr, kRecall, kMap, kTop1 };
  Kind kind = Kind::kNdcg;
  size_t cutoff = 0;

  std::string name() const;  // "ndcg@10", "mrr", "recall@100", "map", "top1"
};

// Those of every report.
const std::vector<Measure>& standard_measures();

// One query's value. A query without relevant documents has 0.
double measure_query(const Measure& measure, const Grades& grades, const std::vector<ScoredId>& ranked);

struct Measured {
  std::vector<std::string> queries;
  std::vector<Measure> measures;
  std::vector<std::vector<double>> values;  // [measure][query]

  double mean(size_t measure) const;
  // Place of "ndcg@10" among the measures; they must have it.
  size_t find(const std::string& name) const;
};

// Measures a run over `queries`, all of which qrels has; a query that the run lacks has 0.
Measured measure_run(const Qrels& qrels, const TrecRun& run, const std::vector<std::string>& queries,
                     const std::vector<Measure>& measures = standard_measures());

}  // namespace rerank::eval
