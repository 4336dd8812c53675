// A token bucket: so many of something a second, and as many at once as it may save up. Guarded by its owner.
#pragma once

#include <algorithm>
#include <chrono>

#include "rerank/types.h"

namespace rerank::observe {

class Bucket {
 public:
  // `most`: what may be saved up, 1 at least; full at first.
  Bucket(double rate, double most, TimePoint now = Clock::now())
      : rate_(rate), most_(most), saved_(most), filled_(now) {}
  explicit Bucket(double rate) : Bucket(rate, rate) {}

  bool take(TimePoint now) {
    saved_ = saved(now);
    filled_ = std::max(filled_, now);
    if (saved_ < 1) return false;
    saved_ -= 1;
    return true;
  }
  bool empty(TimePoint now) const { return saved(now) < 1; }  // whether take() would be refused
  bool full(TimePoint now) const { return saved(now) >= most_; }

 private:
  double saved(TimePoint now) const {
    const double passed = std::chrono::duration<double>(std::max(now - filled_, Clock::duration(0))).count();
    return std::min(most_, saved_ + rate_ * passed);
  }

  double rate_, most_, saved_;
  TimePoint filled_;
};

}  // namespace rerank::observe
