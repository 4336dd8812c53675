// A planner and short words for what tests do to it.
#pragma once

#include <optional>
#include <vector>

#include "schedule/planner.h"

namespace rerank::schedule {

inline std::vector<uint64_t> requests_of(const Plan& plan) {
  std::vector<uint64_t> ids;
  for (const auto& p : plan.pairs) ids.push_back(p.request);
  return ids;
}

struct Queue {
  explicit Queue(const PlannerOptions& options) : planner(options) {}

  Status add(uint64_t request, size_t pairs, uint32_t length, double now, std::optional<double> deadline = {},
             int priority = 0) {
    const std::vector<uint32_t> lengths(pairs, length);
    return planner.admit({request, lengths, {}, priority, deadline}, now);
  }
  // Pairs known by numbers: equal ones are the same pair.
  Status add_known(uint64_t request, const std::vector<uint64_t>& names, double now,
                   std::optional<double> deadline = {}) {
    const std::vector<uint32_t> lengths(names.size(), 10);
    std::vector<Hash128> keys;
    for (uint64_t name : names) keys.push_back({name, 1});
    return planner.admit({request, lengths, keys, 0, deadline}, now);
  }
  // From now on the planner believes in this speed.
  void learn(double seconds_per_token) {
    for (double work : {10.0, 100.0, 1000.0}) planner.observe(work, work * seconds_per_token);
  }
  std::vector<uint64_t> run(double now, double seconds = 0) {
    const Plan& plan = planner.next(now);
    const auto ids = requests_of(plan);
    last = planner.finished(plan, now + seconds, seconds, true);
    return ids;
  }

  Planner planner;
  Outcome last;
};

}  // namespace rerank::schedule
