#include "eval/ridge.h"

#include <algorithm>
#include <cmath>

namespace rerank {
namespace {

// Solves A w = b for a symmetric positive definite A whose lower half is given; A is destroyed. Cholesky.
std::vector<double> solve_symmetric(std::vector<double>& a, std::vector<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    double* row = &a[i * n];
    for (size_t j = 0; j <= i; ++j) {
      const double* other = &a[j * n];
      double sum = row[j];
      for (size_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      row[j] = i == j ? std::sqrt(std::max(sum, 1e-300)) : sum / other[j];
    }
    double sum = b[i];
    for (size_t k = 0; k < i; ++k) sum -= row[k] * b[k];
    b[i] = sum / row[i];
  }
  for (size_t i = n; i-- > 0;) {
    b[i] /= a[i * n + i];
    for (size_t k = 0; k < i; ++k) b[k] -= a[i * n + k] * b[i];
  }
  return b;
}

}  // namespace

RidgeSums::RidgeSums(size_t width) : width_(width), products_(width * width), with_y_(width), sums_(width) {}

void RidgeSums::add(std::span<const float> x, double y) {
  ++samples_;
  y_sum_ += y;
  for (size_t i = 0; i < width_; ++i) {
    const double value = x[i];
    sums_[i] += value;
    with_y_[i] += value * y;
    double* row = &products_[i * width_];
    for (size_t j = 0; j <= i; ++j) row[j] += value * x[j];
  }
}

LinearFit RidgeSums::solve(double penalty) const {
  const auto n = static_cast<double>(samples_);
  std::vector<double> centred = products_, target(width_);
  double variance = 0;
  for (size_t i = 0; i < width_; ++i) {
    for (size_t j = 0; j <= i; ++j) centred[i * width_ + j] -= sums_[i] * sums_[j] / n;
    target[i] = with_y_[i] - sums_[i] * y_sum_ / n;
    variance += centred[i * width_ + i];
  }
  const double added = penalty * std::max(variance / static_cast<double>(width_), 1e-12);
  for (size_t i = 0; i < width_; ++i) centred[i * width_ + i] += added;
  LinearFit fit;
  fit.weights = solve_symmetric(centred, std::move(target));
  fit.bias = y_sum_ / n;
  for (size_t i = 0; i < width_; ++i) fit.bias -= fit.weights[i] * sums_[i] / n;
  return fit;
}

}  // namespace rerank
