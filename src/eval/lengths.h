// How long texts are, and what each limit on their length would mean: what is cut, what it takes, how good it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/measures/statistics.h"
#include "rerank/status.h"

namespace rerank::eval {

// What the engine takes for one pair of a length, measured.
struct CostPoint {
  size_t tokens = 0;
  double seconds = 0;
};

// Between measured lengths in proportion, below the first as the first, above the last as attention grows.
double seconds_for(std::span<const CostPoint> cost, double tokens);

struct LimitRow {
  size_t limit = 0;
  double cut = 0;                        // share of pairs longer than the limit
  double lost = 0;                       // share of all tokens that the limit leaves out
  double tokens = 0;                     // per pair, mean
  double seconds = 0;                    // per pair, mean; 0: not measured
  std::optional<Interval> ndcg;          // ndcg@10, where there are judgments
  std::optional<PairedTest> difference;  // to the longest limit
};

struct LengthsReport {
  std::string source, model;
  size_t texts = 0, queries = 0;
  double query_tokens = 0;          // of a pair, mean, where the texts have none of their own
  std::vector<uint32_t> documents;  // tokens, sorted
  std::vector<uint32_t> pairs;      // tokens with query and special tokens, sorted
  std::vector<CostPoint> cost;
  std::vector<LimitRow> rows;  // limits rising
  size_t recommended = 0;      // a limit, or 0 where there is too little to say; and
  std::string reason;          // why
};

inline constexpr double kPercentiles[] = {1, 5, 10, 25, 50, 75, 90, 95, 99, 100};

// The smallest value that `percent` % of the sorted values do not exceed.
uint32_t percentile(std::span<const uint32_t> sorted, double percent);

// A row per limit from report.pairs and report.cost.
void fill_rows(LengthsReport& report, std::span<const size_t> limits);

// The shortest limit that costs no measurable quality: with judgments, one whose ndcg@10 is in all
// likelihood within 0.01 of the longest's; without, one that cuts at most a pair in twenty. None below
// kEnoughToRecommend questions or pairs.
inline constexpr size_t kEnoughToRecommend = 20;
void recommend(LengthsReport& report);

// Token counts of pairs as rerankd's own /metrics has them (rerankd_pair_tokens): each pair as the upper end of its
// bucket, at most 100,000 of them. InvalidArgument when the file has no such histogram, or an empty one.
Result<std::vector<uint32_t>> read_length_histogram(const std::string& path);

std::string lengths_table(const LengthsReport& report);
std::string lengths_json(const LengthsReport& report);
std::string lengths_html(const LengthsReport& report);
std::string lengths_svg(const LengthsReport& report);

}  // namespace rerank::eval
