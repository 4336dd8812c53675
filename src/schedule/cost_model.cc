#include "schedule/cost_model.h"

#include <algorithm>

namespace rerank::schedule {
namespace {

constexpr double kFade = 0.95;
// A batch that took this many times more, or less, than predicted counts as if it had taken that: hiccups of the
// machine are not the engine's speed, and where they are, the next batches say so again.
constexpr double kSurprise = 4;

}  // namespace

void CostModel::observe(double work, double seconds) {
  if (work <= 0 || seconds <= 0) return;
  if (++observations_ > kTrustedFrom) {
    const double predicted = this->seconds(work);
    seconds = std::clamp(seconds, predicted / kSurprise, predicted * kSurprise);
  }
  const double x = 1 / work, y = seconds / work;
  count_ = kFade * count_ + 1;
  x_ = kFade * x_ + x;
  y_ = kFade * y_ + y;
  xx_ = kFade * xx_ + x * x;
  xy_ = kFade * xy_ + x * y;
  const double mean_x = x_ / count_, mean_y = y_ / count_;
  const double variance = xx_ / count_ - mean_x * mean_x;
  // Batches all of one size say nothing about the fixed part: it stays what it was.
  if (variance > 1e-3 * mean_x * mean_x) fixed_ = (xy_ / count_ - mean_x * mean_y) / variance;
  fixed_ = std::clamp(fixed_, 0.0, 0.9 * mean_y / mean_x);
  rate_ = mean_y - fixed_ * mean_x;
}

}  // namespace rerank::schedule
