#include "schedule/cost_model.h"

#include <algorithm>

namespace rerank {

void CostModel::observe(double work, double seconds) {
  if (work <= 0 || seconds <= 0) return;
  ++observations_;
  // The first observations (warm-up) count fully; later ones move the estimate by a tenth.
  const double weight = std::max(0.1, 1.0 / static_cast<double>(observations_));
  seconds_per_work_ += weight * (seconds / work - seconds_per_work_);
}

}  // namespace rerank
