#include "eval/measures/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>

namespace rerank::eval {
namespace {

double mean_of(std::span<const double> values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Pairs (i < j) of equal values in a sorted sequence.
template <class Equal>
double tied_pairs(size_t n, const Equal& equal) {
  double pairs = 0;
  for (size_t begin = 0, i = 1; i <= n; ++i) {
    if (i < n && equal(i - 1, i)) continue;
    const auto run = static_cast<double>(i - begin);
    pairs += run * (run - 1) / 2;
    begin = i;
  }
  return pairs;
}

// Merge sort of v that returns how many exchanges of neighbours it takes.
double count_exchanges(std::vector<double>& v, std::vector<double>& room, size_t begin, size_t end) {
  if (end - begin < 2) return 0;
  const size_t middle = (begin + end) / 2;
  double count = count_exchanges(v, room, begin, middle) + count_exchanges(v, room, middle, end);
  size_t left = begin, right = middle;
  for (size_t out = begin; out < end; ++out) {
    if (right == end || (left < middle && v[left] <= v[right])) {
      room[out] = v[left++];
    } else {
      room[out] = v[right++];
      count += static_cast<double>(middle - left);
    }
  }
  std::copy(room.begin() + static_cast<long>(begin), room.begin() + static_cast<long>(end),
            v.begin() + static_cast<long>(begin));
  return count;
}

std::vector<size_t> best_first(std::span<const double> scores, size_t k) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return scores[x] > scores[y]; });
  order.resize(std::min(k, order.size()));
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace

Interval bootstrap_interval(std::span<const double> values, size_t rounds) {
  Interval result{mean_of(values), 0, 0};
  if (values.empty()) return result;
  std::mt19937_64 random(7);
  std::vector<double> means(rounds);
  const uint64_t n = values.size();
  for (double& mean : means) {
    double sum = 0;
    for (uint64_t i = 0; i < n; ++i) sum += values[(random() >> 32) * n >> 32];
    mean = sum / static_cast<double>(n);
  }
  std::sort(means.begin(), means.end());
  const auto last = static_cast<double>(rounds - 1);
  result.low = means[static_cast<size_t>(std::lround(0.025 * last))];
  result.high = means[static_cast<size_t>(std::lround(0.975 * last))];
  return result;
}

PairedTest paired_test(std::span<const double> a, std::span<const double> b, size_t rounds) {
  PairedTest test;
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    differences[i] = b[i] - a[i];
    ++(differences[i] > 0 ? test.wins : differences[i] < 0 ? test.losses : test.ties);
  }
  test.difference = bootstrap_interval(differences);
  if (test.wins + test.losses == 0) return test;
  std::mt19937_64 random(11);
  const double seen = std::abs(test.difference.mean) * static_cast<double>(a.size()) * (1 - 1e-12);
  size_t as_far = 1;
  for (size_t round = 0; round < rounds; ++round) {
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < differences.size(); ++i, bits >>= 1) {
      if (i % 64 == 0) bits = random();
      sum += (bits & 1) != 0 ? differences[i] : -differences[i];
    }
    as_far += std::abs(sum) >= seen;
  }
  test.p = static_cast<double>(as_far) / static_cast<double>(rounds + 1);
  return test;
}

double kendall_tau(std::span<const double> a, std::span<const double> b) {
  const size_t n = a.size();
  if (n < 2) return 1;
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t x, size_t y) { return a[x] != a[y] ? a[x] < a[y] : b[x] < b[y]; });
  std::vector<double> sorted(n), room(n);
  for (size_t i = 0; i < n; ++i) sorted[i] = b[order[i]];
  const double pairs = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  const double tied_a = tied_pairs(n, [&](size_t i, size_t j) { return a[order[i]] == a[order[j]]; });
  const double tied_both =
      tied_pairs(n, [&](size_t i, size_t j) { return a[order[i]] == a[order[j]] && b[order[i]] == b[order[j]]; });
  const double exchanges = count_exchanges(sorted, room, 0, n);
  const double tied_b = tied_pairs(n, [&](size_t i, size_t j) { return sorted[i] == sorted[j]; });
  const double scale = std::sqrt((pairs - tied_a) * (pairs - tied_b));
  if (scale == 0) return tied_a == pairs && tied_b == pairs ? 1 : 0;
  return (pairs - tied_a - tied_b + tied_both - 2 * exchanges) / scale;
}

double top_overlap(std::span<const double> a, std::span<const double> b, size_t k) {
  const auto first = best_first(a, k), second = best_first(b, k);
  if (first.empty()) return 1;
  std::vector<size_t> both;
  std::set_intersection(first.begin(), first.end(), second.begin(), second.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(first.size());
}

}  // namespace rerank::eval
