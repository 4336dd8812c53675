// Ridge regression in closed form: y = w . x + b with the least squared error, and a penalty on w.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace rerank::eval {

struct LinearFit {
  std::vector<double> weights;
  double bias = 0;
};

// Sums over samples; memory is width^2, whatever their number.
class RidgeSums {
 public:
  explicit RidgeSums(size_t width);

  void add(std::span<const float> x, double y);
  size_t samples() const { return samples_; }

  // `penalty`: in units of each input's variance, as if all had been scaled to one; above 0. Needs two samples.
  LinearFit solve(double penalty) const;

 private:
  size_t width_, samples_ = 0;
  std::vector<double> products_;  // [width, width], the lower half: sums of x_i x_j ...
  std::vector<double> pending_;   // ... but for these samples, [.., width]: added many at a time, which is faster
  std::vector<double> with_y_, sums_;
  double y_sum_ = 0;
};

}  // namespace rerank::eval
