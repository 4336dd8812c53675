#include "eval/depth.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "eval/measures/statistics.h"

namespace rerank::eval {
namespace {

constexpr size_t kFirst = 5;  // places whose agreement margins are chosen for

double value_of(const LinearFit& fit, const float* state) {
  double sum = fit.bias;
  for (size_t i = 0; i < fit.weights.size(); ++i) sum += fit.weights[i] * state[i];
  return sum;
}

// What a share of `lists` lists' first five is at least: as if one more had been lost, less a standard error. A margin
// that just reaches a target on few lists does not reach it on others.
double at_least(double share, size_t lists) {
  const auto places = static_cast<double>(lists * kFirst);
  const double expected = share * places / (places + 1);
  return expected - std::sqrt(expected * (1 - expected) / places);
}

}  // namespace

ExitFitter::ExitFitter(size_t layers, size_t width)
    : layers_(layers), width_(width), sums_(layers - 1, RidgeSums(width)) {}

void ExitFitter::add(const DepthPair& pair) {
  if (held_out(pair.list) || chooses(pair.list)) {
    auto& kept = held_out(pair.list) ? held_ : choosing_;
    kept.push_back({pair.list, pair.logit, {pair.states.begin(), pair.states.end()}});
    return;
  }
  for (size_t exit = 0; exit + 1 < layers_; ++exit)
    sums_[exit].add(pair.states.subspan(exit * width_, width_), pair.logit);
}

double ExitFitter::error_of(const LinearFit& fit, size_t exit, const std::vector<Kept>& pairs) const {
  double sum = 0;
  for (const Kept& pair : pairs) {
    const double error = value_of(fit, &pair.states[exit * width_]) - pair.logit;
    sum += error * error;
  }
  return std::sqrt(sum / static_cast<double>(pairs.size()));
}

LinearFit ExitFitter::choose(size_t exit, double& penalty) const {
  LinearFit best;
  double least = INFINITY;
  size_t worse = 0;  // in a row: the error has one valley
  for (double candidate : {1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1000.0}) {
    LinearFit fit = sums_[exit].solve(candidate);
    const double error = error_of(fit, exit, choosing_);
    if (error >= least) {
      if (++worse == 2) break;
      continue;
    }
    worse = 0;
    least = error;
    penalty = candidate;
    best = std::move(fit);
  }
  return best;
}

void ExitFitter::judge(const LinearFit& fit, size_t exit, DepthRow& row) const {
  std::vector<uint32_t> lists;
  std::vector<double> guessed, final;
  double mean = 0, variance = 0;
  for (const Kept& pair : held_) mean += pair.logit / static_cast<double>(held_.size());
  for (const Kept& pair : held_) {
    lists.push_back(pair.list);
    guessed.push_back(value_of(fit, &pair.states[exit * width_]));
    final.push_back(pair.logit);
    variance += (pair.logit - mean) * (pair.logit - mean) / static_cast<double>(held_.size());
  }
  row.error = error_of(fit, exit, held_);
  row.explained = variance > 0 ? 1 - row.error * row.error / variance : 0;
  const ListAgreement agreement = list_agreement(lists, final, guessed);
  row.tau = agreement.tau;
  row.top1 = agreement.top1;
  row.top5 = agreement.top5;
}

std::vector<LinearFit> ExitFitter::fit(DepthReport& report) {
  std::vector<LinearFit> heads;
  report.fitted_pairs = sums_.empty() ? 0 : sums_[0].samples();
  report.held_pairs = held_.size();
  report.rows.assign(layers_, {});
  for (size_t exit = 0; exit < layers_; ++exit) {
    DepthRow& row = report.rows[exit];
    row.layers = exit + 1;
    if (exit + 1 == layers_) break;
    heads.push_back(choose(exit, row.penalty));
    judge(heads.back(), exit, row);
  }
  std::vector<double> errors;
  for (size_t exit = 0; exit < heads.size(); ++exit) {
    errors.push_back(error_of(heads[exit], exit, choosing_));
    report.rows[exit].spread = errors.back();
  }
  std::set<uint32_t> lists;
  for (const Kept& pair : choosing_) lists.insert(pair.list);
  for (double target : {0.9, 0.95, 0.99, 0.999}) {
    double margin = 0;
    bool reached = false;
    while (!(reached = at_least(adapt(heads, choosing_, errors, margin).top5, lists.size()) >= target) && margin < 6)
      margin += 0.125;
    report.adaptive.push_back(adapt(heads, held_, errors, margin));
    report.adaptive.back().target = target;
    report.adaptive.back().reached = reached;
  }
  return heads;
}

AdaptiveRow ExitFitter::adapt(const std::vector<LinearFit>& fits, const std::vector<Kept>& pairs,
                              std::span<const double> errors, double margin) const {
  std::map<uint32_t, std::vector<const Kept*>> lists;
  for (const Kept& pair : pairs) lists[pair.list].push_back(&pair);
  AdaptiveRow row{0, margin, true, 0, 0};
  for (const auto& [list, all] : lists) {
    std::vector<const Kept*> alive = all;
    double layers = 0;
    for (size_t exit = 0; exit < fits.size() && alive.size() > kFirst; ++exit) {
      std::vector<std::pair<double, const Kept*>> guessed;
      for (const Kept* pair : alive) guessed.emplace_back(value_of(fits[exit], &pair->states[exit * width_]), pair);
      std::sort(guessed.begin(), guessed.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
      const double floor = guessed[kFirst - 1].first - margin * std::sqrt(2.0) * errors[exit];
      alive.clear();
      for (const auto& [guess, pair] : guessed) {
        if (guess >= floor) alive.push_back(pair);
      }
      layers += static_cast<double>((guessed.size() - alive.size()) * (exit + 1));
    }
    layers += static_cast<double>(alive.size() * layers_);
    row.layers += layers / static_cast<double>(pairs.size());
    std::vector<double> final, found;
    for (const Kept* pair : all) {
      final.push_back(pair->logit);
      found.push_back(std::find(alive.begin(), alive.end(), pair) != alive.end() ? pair->logit : -INFINITY);
    }
    row.top5 += top_overlap(final, found, kFirst) / static_cast<double>(lists.size());
  }
  return row;
}

ListAgreement list_agreement(std::span<const uint32_t> lists, std::span<const double> a, std::span<const double> b) {
  std::map<uint32_t, std::pair<std::vector<double>, std::vector<double>>> by_list;
  for (size_t i = 0; i < lists.size(); ++i) {
    by_list[lists[i]].first.push_back(a[i]);
    by_list[lists[i]].second.push_back(b[i]);
  }
  ListAgreement sum{0, 0, 0};
  for (const auto& [list, scores] : by_list) {
    sum.tau += kendall_tau(scores.first, scores.second);
    sum.top1 += top_overlap(scores.first, scores.second, 1);
    sum.top5 += top_overlap(scores.first, scores.second, 5);
  }
  if (by_list.empty()) return {};
  const auto n = static_cast<double>(by_list.size());
  return {sum.tau / n, sum.top1 / n, sum.top5 / n};
}

}  // namespace rerank::eval
