#include "eval/measures/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/strings.h"

namespace rerank::eval {
namespace {

int grade_of(const Grades& grades, const std::string& id) {
  auto found = grades.find(id);
  return found == grades.end() ? 0 : found->second;
}

double ndcg(const Grades& grades, const std::vector<ScoredId>& ranked, size_t limit) {
  std::vector<int> best;
  for (const auto& [id, grade] : grades) {
    if (grade > 0) best.push_back(grade);
  }
  std::sort(best.begin(), best.end(), std::greater<>());
  auto discounted = [](int grade, size_t place) { return grade / std::log2(static_cast<double>(place) + 2); };
  double gain = 0, ideal = 0;
  for (size_t i = 0; i < std::min(limit, ranked.size()); ++i)
    gain += discounted(std::max(0, grade_of(grades, ranked[i].id)), i);
  for (size_t i = 0; i < std::min(limit, best.size()); ++i) ideal += discounted(best[i], i);
  return ideal > 0 ? gain / ideal : 0;
}

// Walks the relevant documents of the first `limit`: body(place, how many relevant up to it).
template <class Body>
size_t each_relevant(const Grades& grades, const std::vector<ScoredId>& ranked, size_t limit, const Body& body) {
  size_t found = 0;
  for (size_t i = 0; i < std::min(limit, ranked.size()); ++i) {
    if (grade_of(grades, ranked[i].id) > 0) body(i, ++found);
  }
  return found;
}

}  // namespace

std::string Measure::name() const {
  const char* names[] = {"ndcg", "mrr", "recall", "map", "top1"};
  const std::string text = names[static_cast<size_t>(kind)];
  return cutoff == 0 ? text : str_cat(text, "@", cutoff);
}

const std::vector<Measure>& standard_measures() {
  using Kind = Measure::Kind;
  static const std::vector<Measure> measures = {
      {Kind::kNdcg, 1},     {Kind::kNdcg, 3},   {Kind::kNdcg, 5},    {Kind::kNdcg, 10},
      {Kind::kNdcg, 20},    {Kind::kNdcg, 100}, {Kind::kMrr, 10},    {Kind::kMrr, 0},
      {Kind::kRecall, 1},   {Kind::kRecall, 5}, {Kind::kRecall, 10}, {Kind::kRecall, 20},
      {Kind::kRecall, 100}, {Kind::kMap, 0},    {Kind::kMap, 10},    {Kind::kTop1, 0}};
  return measures;
}

double measure_query(const Measure& measure, const Grades& grades, const std::vector<ScoredId>& ranked) {
  const size_t limit = measure.cutoff == 0 ? ranked.size() : measure.cutoff;
  const auto relevant = static_cast<double>(
      std::count_if(grades.begin(), grades.end(), [](const auto& judged) { return judged.second > 0; }));
  if (relevant == 0) return 0;
  double first = 0, precisions = 0;
  const auto found = static_cast<double>(each_relevant(grades, ranked, limit, [&](size_t place, size_t so_far) {
    if (so_far == 1) first = 1 / static_cast<double>(place + 1);
    precisions += static_cast<double>(so_far) / static_cast<double>(place + 1);
  }));
  switch (measure.kind) {
    case Measure::Kind::kNdcg:
      return ndcg(grades, ranked, limit);
    case Measure::Kind::kMrr:
      return first;
    case Measure::Kind::kRecall:
      return found / relevant;
    case Measure::Kind::kMap:
      return precisions / relevant;
    case Measure::Kind::kTop1:
      return first == 1 ? 1 : 0;
  }
  return 0;
}

double Measured::mean(size_t measure) const {
  const std::vector<double>& v = values[measure];
  return v.empty() ? 0 : std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

size_t Measured::find(const std::string& name) const {
  for (size_t i = 0; i < measures.size(); ++i) {
    if (measures[i].name() == name) return i;
  }
  std::abort();  // a name that the caller made up
}

Measured measure_run(const Qrels& qrels, const TrecRun& run, const std::vector<std::string>& queries,
                     const std::vector<Measure>& measures) {
  Measured result{queries, measures, std::vector<std::vector<double>>(measures.size())};
  for (const std::string& query : queries) {
    auto found = run.find(query);
    const auto ranked = found == run.end() ? std::vector<ScoredId>() : in_trec_order(found->second);
    for (size_t m = 0; m < measures.size(); ++m) {
      result.values[m].push_back(measure_query(measures[m], qrels.at(query), ranked));
    }
  }
  return result;
}

}  // namespace rerank::eval
