#include "eval/measures/ridge.h"

#include <Eigen/Cholesky>
#include <algorithm>

namespace rerank::eval {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

constexpr size_t kSamplesAtOnce = 128;

auto size(size_t n) { return static_cast<Eigen::Index>(n); }

// The lower half of products [width, width] += samples^T samples.
void add_products(const std::vector<double>& samples, size_t width, std::vector<double>& products) {
  if (samples.empty()) return;
  const Eigen::Map<const Matrix> x(samples.data(), size(samples.size() / width), size(width));
  Eigen::Map<Matrix>(products.data(), size(width), size(width))
      .selfadjointView<Eigen::Lower>()
      .rankUpdate(x.transpose());
}

}  // namespace

RidgeSums::RidgeSums(size_t width) : width_(width), products_(width * width), with_y_(width), sums_(width) {}

void RidgeSums::add(std::span<const float> x, double y) {
  ++samples_;
  y_sum_ += y;
  for (size_t i = 0; i < width_; ++i) {
    sums_[i] += x[i];
    with_y_[i] += x[i] * y;
  }
  pending_.insert(pending_.end(), x.begin(), x.end());
  if (pending_.size() < kSamplesAtOnce * width_) return;
  add_products(pending_, width_, products_);
  pending_.clear();
}

LinearFit RidgeSums::solve(double penalty) const {
  const auto n = static_cast<double>(samples_);
  std::vector<double> centred = products_;
  add_products(pending_, width_, centred);
  Eigen::Map<Matrix> a(centred.data(), size(width_), size(width_));
  const Eigen::Map<const Vector> sums(sums_.data(), size(width_)), with_y(with_y_.data(), size(width_));
  a.selfadjointView<Eigen::Lower>().rankUpdate(sums, -1 / n);
  const double least = std::max(1e-6 * a.diagonal().mean(), 1e-12);  // for inputs that never change
  a.diagonal().array() += penalty * a.diagonal().array().max(least);
  const Vector weights = a.selfadjointView<Eigen::Lower>().llt().solve(with_y - sums * (y_sum_ / n));
  return {{weights.begin(), weights.end()}, (y_sum_ - weights.dot(sums)) / n};
}

}  // namespace rerank::eval
