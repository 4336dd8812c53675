// How few layers are enough: exit heads fitted to pairs whose final logit is known, and how far they and plain layer
// dropping agree with the full depth on lists that the fit has not seen.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "eval/measures/ridge.h"

namespace rerank::eval {

// A query's pair, computed to the full depth.
struct DepthPair {
  uint32_t list = 0;              // which query's
  float logit = 0;                // of the full depth
  std::span<const float> states;  // [layers - 1, width], what exits read after each layer but the last
};

struct DepthRow {
  size_t layers = 0;
  // Exit head against the full depth, on lists held out: error of the logit, share of its variance explained, Kendall's
  // tau, shares of the first and of the first five in common.
  double error = 0, explained = 1, tau = 1, top1 = 1, top5 = 1;
  // The same of plain layer dropping: the model's own head on this layer.
  double plain_tau = 1, plain_top1 = 1, plain_top5 = 1;
  double seconds = 0;  // per pair
  double penalty = 0;  // chosen
  double spread = 0;   // the exit's error on the lists that margins are chosen on: what margins are multiples of
};

// What dropping documents at exits would save and cost: at each exit, those whose guessed logit is below the fifth best
// guess by more than `margin` errors of that exit leave. From the pairs held out; nothing is skipped in the engine.
struct AdaptiveRow {
  double target = 0;    // share of the first five in common that the margin was chosen for, on other lists
  double margin = 0;    // in standard errors of a difference of two guesses
  bool reached = true;  // for sure, on the lists it was chosen on; false: no margin is large enough, or lists too few
  double top5 = 1;      // reached on the lists held out
  double layers = 0;    // computed per pair, mean
};

struct DepthReport {
  std::string model, texts, precision, kernel;
  size_t fitted_pairs = 0, held_lists = 0, held_pairs = 0;
  double tokens = 0;           // per pair, mean
  std::vector<DepthRow> rows;  // one per depth, the last: the full depth
  std::vector<AdaptiveRow> adaptive;
};

// Takes pairs one by one. Lists are dealt out: of five, one is held out for the report, two choose penalties and
// margins (which takes many lists), two are fitted.
class ExitFitter {
 public:
  // `width`: of what an exit reads.
  ExitFitter(size_t layers, size_t width);

  void add(const DepthPair& pair);
  static bool held_out(uint32_t list) { return list % 5 == 4; }

  // Fits all heads; rows of the report but for plain dropping and times. Needs lists of each kind.
  std::vector<LinearFit> fit(DepthReport& report);

 private:
  struct Kept {
    uint32_t list;
    float logit;
    std::vector<float> states;
  };
  static bool chooses(uint32_t list) { return list % 5 == 1 || list % 5 == 3; }
  AdaptiveRow adapt(const std::vector<LinearFit>& fits, const std::vector<Kept>& pairs, std::span<const double> errors,
                    double margin) const;
  double error_of(const LinearFit& fit, size_t exit, const std::vector<Kept>& pairs) const;
  LinearFit choose(size_t exit, double& penalty) const;
  void judge(const LinearFit& fit, size_t exit, DepthRow& row) const;

  size_t layers_, width_;
  std::vector<RidgeSums> sums_;
  std::vector<Kept> choosing_, held_;
};

// Means over lists: Kendall's tau and the shares of the first and the first five in common.
struct ListAgreement {
  double tau = 1, top1 = 1, top5 = 1;
};
ListAgreement list_agreement(std::span<const uint32_t> lists, std::span<const double> a, std::span<const double> b);

std::string depth_table(const DepthReport& report);
std::string depth_json(const DepthReport& report);
std::string depth_svg(const DepthReport& report);
std::string depth_html(const DepthReport& report);

}  // namespace rerank::eval
