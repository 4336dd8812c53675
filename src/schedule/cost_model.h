// Predicts how long the engine takes for a batch, from the batches it has run. Pure; not thread-safe.
//
//   seconds = fixed + rate * work,    work = sum over sequences of (tokens + square_weight * tokens^2)
//
// The square term is attention's; its weight is measured once at warm-up (rank/warm_up.h). `fixed` and `rate` follow
// the engine: least squares of relative errors over the recent batches, older ones fading by a twentieth with each new
// one, so that a machine that is throttled or freed is followed within some twenty batches and one hiccup changes
// little.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerank::schedule {

class CostModel {
 public:
  // `square_weight`: attention's cost of one squared token relative to the linear layers' cost of one token.
  explicit CostModel(double square_weight) : square_weight_(square_weight) {}

  // Work units of one sequence: tokens, plus attention in the same unit.
  double work(size_t tokens) const {
    const auto n = static_cast<double>(tokens);
    return n + square_weight_ * n * n;
  }

  void observe(double work, double seconds);

  double fixed() const { return fixed_; }                              // seconds per batch
  double rate() const { return rate_; }                                // seconds per unit of work
  double seconds(double work) const { return fixed_ + rate_ * work; }  // of one batch; 0 before the first observation
  bool fitted() const { return observations_ > 0; }
  // Whether enough batches were seen to refuse work on what it says.
  bool trusted() const { return observations_ >= kTrustedFrom; }

 private:
  static constexpr uint64_t kTrustedFrom = 3;  // observations; from then on surprises are dampened, too
  double square_weight_;
  double fixed_ = 0, rate_ = 0;
  uint64_t observations_ = 0;
  // Faded sums over batches of x = 1/work and y = seconds/work: y = rate + fixed * x.
  double count_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
};

}  // namespace rerank::schedule
