// What the documents of one request gave after each of a layerwise model's outputs, in whatever batches they are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace rerank::engine {

// Thread-safe: batches of a request may run at the same time.
class SeenOutputs {
 public:
  // Adds `logits` of the output after `layers` blocks, and returns the `wanted`-th best of all that were added there;
  // a lowest float: there are not so many. `wanted` is the same in each call of one layer. Numbers only.
  float add(size_t layers, size_t wanted, std::span<const float> logits) {
    std::lock_guard lock(mutex_);
    std::vector<float>& best = best_[layers];  // the best `wanted`, falling
    best.insert(best.end(), logits.begin(), logits.end());
    std::sort(best.begin(), best.end(), std::greater<>());
    if (best.size() < wanted) return std::numeric_limits<float>::lowest();
    best.resize(wanted);
    return best.back();
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<float>> best_;  // guarded by mutex_
};

}  // namespace rerank::engine
