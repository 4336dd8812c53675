// The sequences of a plan, end to end, as a backend takes them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/batch.h"
#include "schedule/scheduler.h"

namespace rerank::schedule {

struct Gathered {
  engine::OwnedBatch batch;  // with layers and shared tokens
  std::vector<engine::Contest> contests;
  std::vector<uint32_t> results{0};  // of each sequence the first of its results, and how many there are in all

  void clear() {
    batch.clear();
    results.assign(1, 0);
    contests.clear();
  }
  void add(const Job& job, uint32_t pair) {
    batch.add(job.pairs, pair);
    batch.layers.push_back(job.layers);
    batch.shared_tokens.push_back(job.shared_tokens);
    results.push_back(results.back() + job.result_begin(pair + 1) - job.result_begin(pair));
  }
  // The sequence added last competes with those before it that are of the same job.
  void compete(const Job& job, bool go_on) {
    const auto last = static_cast<uint32_t>(batch.size() - 1);
    if (!go_on) {
      contests.push_back({.first = last,
                          .keep = job.keep,
                          .margin = job.margin,
                          .floor = floor_of(job),
                          .stay = job.stay,
                          .seen = job.seen});
    }
    ++contests.back().size;
  }
  // The share of a model's layers that were computed, by tokens. depths: as Backend::forward_contests() has them.
  double share_done(const std::vector<uint8_t>& depths, size_t model_layers) const {
    if (model_layers == 0 || batch.ids.empty()) return 1;
    double done = 0;
    for (size_t i = 0; i < depths.size(); ++i) {
      const size_t depth = depths[i] == 0 ? model_layers : depths[i];
      done += static_cast<double>(depth * batch.length(i));
    }
    return done / static_cast<double>(model_layers * batch.tokens());
  }
  // What `keep` of the job's sequences are known to reach.
  static float floor_of(const Job& job) {
    std::vector<float> known = job.known;
    if (known.size() < job.keep) return engine::Contest().floor;
    std::nth_element(known.begin(), known.begin() + (job.keep - 1), known.end(), std::greater<>());
    return known[job.keep - 1];
  }
};

}  // namespace rerank::schedule
