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
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets;
  std::vector<uint8_t> layers;
  std::vector<Contest> contests;

  void clear() {
    layers.clear();
    contests.clear();
    ids.clear();
    segments.clear();
    offsets.assign(1, 0);
  }
  void add(const Job& job, uint32_t pair) {
    const auto begin = job.offsets[pair], end = job.offsets[pair + 1];
    ids.insert(ids.end(), job.ids.begin() + begin, job.ids.begin() + end);
    segments.insert(segments.end(), job.segments.begin() + begin, job.segments.begin() + end);
    offsets.push_back(static_cast<uint32_t>(ids.size()));
    layers.push_back(job.layers);
  }
  // The sequence added last competes with those before it that are of the same job.
  void compete(const Job& job, bool go_on) {
    const auto last = static_cast<uint32_t>(layers.size() - 1);
    if (!go_on) contests.push_back({last, 0, job.keep, job.margin, floor_of(job)});
    ++contests.back().size;
  }
  size_t length(size_t i) const { return offsets[i + 1] - offsets[i]; }
  // The share of a model's layers that were computed, by tokens. depths: as Backend::forward_contests() has them.
  double share_done(const std::vector<uint8_t>& depths, size_t model_layers) const {
    if (model_layers == 0 || ids.empty()) return 1;
    double done = 0;
    for (size_t i = 0; i < depths.size(); ++i) {
      const size_t depth = depths[i] == 0 ? model_layers : depths[i];
      done += static_cast<double>(depth * length(i));
    }
    return done / static_cast<double>(model_layers * ids.size());
  }
  // What `keep` of the job's sequences are known to reach.
  static float floor_of(const Job& job) {
    std::vector<float> known = job.known;
    if (known.size() < job.keep) return Contest().floor;
    std::nth_element(known.begin(), known.begin() + (job.keep - 1), known.end(), std::greater<>());
    return known[job.keep - 1];
  }
};

}  // namespace rerank::schedule
