// What measured values allow to be said: bootstrap intervals, paired tests, and agreement between two orders. Seeded:
// the same values give the same answer.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace rerank::eval {

struct Interval {
  double mean = 0, low = 0, high = 0;  // 95 %
};

// Percentile bootstrap of the mean over queries.
Interval bootstrap_interval(std::span<const double> values, size_t rounds = 2000);

struct PairedTest {
  Interval difference;  // of b - a
  double p = 1;         // two-sided, by random exchange of a and b within queries (sign flips)
  size_t wins = 0, losses = 0, ties = 0;
};

PairedTest paired_test(std::span<const double> a, std::span<const double> b, size_t rounds = 10000);

// Kendall's tau-b of two scorings of the same documents, ties corrected for; 1 when nothing can differ (fewer than two
// documents, or all tied in both).
double kendall_tau(std::span<const double> a, std::span<const double> b);

// Share of the first k places (by score, ties by position) that both scorings fill with the same documents.
double top_overlap(std::span<const double> a, std::span<const double> b, size_t k);

}  // namespace rerank::eval
