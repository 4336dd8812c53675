#include "eval/lengths.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <numeric>

#include "base/status_macros.h"
#include "base/strings.h"
#include "eval/data/line_reader.h"

namespace rerank::eval {

double seconds_for(std::span<const CostPoint> cost, double tokens) {
  if (cost.empty()) return 0;
  if (tokens <= static_cast<double>(cost.front().tokens)) return cost.front().seconds;
  for (size_t i = 1; i < cost.size(); ++i) {
    const auto from = static_cast<double>(cost[i - 1].tokens), to = static_cast<double>(cost[i].tokens);
    if (tokens > to) continue;
    return cost[i - 1].seconds + (cost[i].seconds - cost[i - 1].seconds) * (tokens - from) / (to - from);
  }
  const double times = tokens / static_cast<double>(cost.back().tokens);
  return cost.back().seconds * times * times;
}

uint32_t percentile(std::span<const uint32_t> sorted, double percent) {
  if (sorted.empty()) return 0;
  const auto place = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(place, 1, sorted.size()) - 1];
}

void fill_rows(LengthsReport& report, std::span<const size_t> limits) {
  const auto count = static_cast<double>(std::max<size_t>(1, report.pairs.size()));
  const double all = std::accumulate(report.pairs.begin(), report.pairs.end(), 0.0);
  report.rows.clear();
  for (size_t limit : limits) {
    LimitRow row;
    row.limit = limit;
    double kept = 0, seconds = 0;
    for (uint32_t tokens : report.pairs) {
      row.cut += tokens > limit;
      kept += static_cast<double>(std::min<size_t>(tokens, limit));
      seconds += seconds_for(report.cost, static_cast<double>(std::min<size_t>(tokens, limit)));
    }
    row.cut /= count;
    row.lost = all > 0 ? 1 - kept / all : 0;
    row.tokens = kept / count;
    row.seconds = seconds / count;
    report.rows.push_back(row);
  }
}

// How many questions would make the widest interval of a difference to the longest limit as narrow as 0.01 either way.
static size_t questions_wanted(const LengthsReport& report) {
  double wanted = kEnoughToRecommend;
  for (const LimitRow& row : report.rows) {
    if (!row.difference) continue;
    const double half = (row.difference->difference.high - row.difference->difference.low) / 2;
    wanted = std::max(wanted, static_cast<double>(report.queries) * (half / 0.01) * (half / 0.01));
  }
  return static_cast<size_t>(std::min(10000.0, std::ceil(wanted / 10) * 10));
}

void recommend(LengthsReport& report) {
  if (report.rows.empty()) return;
  const LimitRow& longest = report.rows.back();
  const bool judged = longest.ndcg.has_value();
  if (const size_t count = judged ? report.queries : report.pairs.size(); count < kEnoughToRecommend) {
    report.recommended = 0;
    report.reason = str_cat(count, judged ? " questions" : " pairs", " are too few to say; about ",
                            judged ? questions_wanted(report) : kEnoughToRecommend * 5, " would do");
    return;
  }
  for (const LimitRow& row : report.rows) {
    const bool good =
        judged ? (&row == &longest || (row.difference && row.difference->difference.low > -0.01)) : row.cut <= 0.05;
    if (!good && &row != &longest) continue;
    report.recommended = row.limit;
    report.reason =
        !good ? "even the longest limit cuts more than one pair in twenty: consider --truncation query-aware or chunks"
        : judged ? "the shortest whose ndcg@10 is in all likelihood within 0.01 of the longest limit's"
                 : "the shortest that cuts at most one pair in twenty; judgments would say what a shorter one costs";
    return;
  }
}

Result<std::vector<uint32_t>> read_length_histogram(const std::string& path) {
  ASSIGN_OR_RETURN(auto lines, LineReader::open(path == "-" ? "/dev/stdin" : path));
  std::map<double, double> sums;  // upper end: pairs up to it, of all models
  constexpr std::string_view kName = "rerankd_pair_tokens_bucket";
  for (std::string_view line; lines.next(line);) {
    if (!line.starts_with(kName)) continue;
    const size_t quote = line.rfind("le=\""), end = line.find('"', quote + 4), blank = line.rfind(' ');
    double bound = 0, count = 0;
    if (quote == std::string_view::npos || end == std::string_view::npos ||
        !parse_number(line.substr(blank + 1), count))
      return absl::InvalidArgumentError(str_cat(lines.where(), ": not a bucket of a histogram"));
    if (!parse_number(line.substr(quote + 4, end - quote - 4), bound)) bound = std::numeric_limits<double>::infinity();
    sums[bound] += count;
  }
  std::vector<std::pair<double, double>> buckets(sums.begin(), sums.end());
  // The last bucket is open: its pairs are taken to be twice the last bound.
  if (!buckets.empty() && std::isinf(buckets.back().first))
    buckets.back().first = buckets.size() == 1 ? 1 : 2 * buckets[buckets.size() - 2].first;
  RETURN_IF_ERROR(lines.status());
  if (buckets.empty() || buckets.back().second == 0)
    return absl::InvalidArgumentError(
        str_cat(path, ": has no pairs in rerankd_pair_tokens; is it rerankd's /metrics?"));
  std::vector<uint32_t> tokens;
  const double scale = std::min(1.0, 100000 / buckets.back().second);
  double before = 0;
  for (const auto& [bound, count] : buckets) {
    tokens.insert(tokens.end(), static_cast<size_t>(std::lround((count - before) * scale)),
                  static_cast<uint32_t>(bound));
    before = count;
  }
  return tokens;
}

}  // namespace rerank::eval
