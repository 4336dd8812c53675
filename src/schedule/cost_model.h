// Predicts how long the engine takes for a number of tokens, from the batches it has run. Pure; not thread-safe.
//
//   seconds = fixed + per_token * tokens + per_square * sum(length^2)
//
// The square term is attention's. The ratio between it and the linear term is known from the model's shape, so that one
// rate is fitted: exponentially weighted means of time over work, and the fixed part from the smallest batches seen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace rerank {

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
  double seconds(double work) const { return work * seconds_per_work_; }
  bool fitted() const { return observations_ > 0; }

 private:
  double square_weight_;
  double seconds_per_work_ = 0;
  uint64_t observations_ = 0;
};

}  // namespace rerank
