#include "eval/measures/ridge.h"

#include <gtest/gtest.h>

#include <random>

namespace rerank::eval {
namespace {

TEST(RidgeTest, FindsALinearRuleAndItsBias) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  constexpr size_t kWidth = 20;
  std::vector<double> rule(kWidth);
  for (double& w : rule) w = normal(random);
  RidgeSums sums(kWidth);
  std::vector<float> x(kWidth);
  for (int i = 0; i < 500; ++i) {
    double y = 3;
    for (size_t c = 0; c < kWidth; ++c) y += rule[c] * (x[c] = normal(random) + 5);
    sums.add(x, y);
  }
  const LinearFit fit = sums.solve(1e-9);
  for (size_t c = 0; c < kWidth; ++c) EXPECT_NEAR(fit.weights[c], rule[c], 1e-6);
  EXPECT_NEAR(fit.bias, 3, 1e-4);
  double small = 0, large = 0;
  const LinearFit strict = sums.solve(1e3);
  for (size_t c = 0; c < kWidth; ++c) {
    large += fit.weights[c] * fit.weights[c];
    small += strict.weights[c] * strict.weights[c];
  }
  EXPECT_LT(small, large / 10);  // a heavy penalty leaves little but the mean
}

TEST(RidgeTest, FewerSamplesThanInputsAndConstantInputsAreNoTrouble) {
  RidgeSums sums(10);
  for (int i = 0; i < 4; ++i) {
    std::vector<float> x(10, 1.0f);
    x[0] = static_cast<float>(i);
    sums.add(x, 2 * i);
  }
  const LinearFit fit = sums.solve(1e-6);
  EXPECT_NEAR(fit.weights[0], 2, 1e-3);
  for (size_t c = 1; c < 10; ++c) EXPECT_NEAR(fit.weights[c], 0, 1e-3);
}

}  // namespace
}  // namespace rerank::eval
