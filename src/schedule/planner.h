// Who goes into the next batch. A pure state machine: no threads, no clock (times are handed in), no metrics; the
// threaded shell around it is schedule/scheduler.h, and the simulation in tests/simulation drives it by hand.
//
// Order. Every request has a place, fixed when it arrives:
//     place = arrival + stretch * (predicted time of the whole request), but never later than its deadline minus that
//     time.
// A small request so overtakes large ones that came shortly before, and no request waits for ever: places rise with
// time, so only requests that came within `stretch * its own time` after it can pass it. Higher priority goes first
// always. A batch takes pairs in that order until its budget is full, so requests finish one after another instead of
// all at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "rerank/status.h"
#include "schedule/cost_model.h"

namespace rerank {

// Times are seconds on any steady clock.
struct PlannerOptions {
  size_t max_batch_tokens = 8192;  // tokens of one batch; a longer pair goes alone
  // Seconds one batch may be predicted to take, once the cost model is fitted: bounds how long a newcomer waits for the
  // batch that is running. At least one pair goes always.
  double max_batch_seconds = 0.25;
  size_t max_queued_tokens = 4u << 20;  // admission: tokens waiting or running
  double stretch = 2.0;
  double square_weight = 0;  // see CostModel
};

struct PlannedPair {
  uint64_t request = 0;
  uint32_t pair = 0;  // position in the lengths given to admit()
};

struct Plan {
  std::vector<PlannedPair> pairs;
  std::vector<uint64_t> expired;  // requests dropped since the last plan: their deadline cannot be met any more
  size_t tokens = 0;
  double work = 0;  // in the cost model's unit
};

class Planner {
 public:
  explicit Planner(const PlannerOptions& options) : options_(options), cost_(options.square_weight) {}

  // Accepts a whole request or refuses it: ResourceExhausted when too much waits already, DeadlineExceeded when it
  // cannot be done by `deadline`. `request` must be new.
  Status admit(uint64_t request, std::span<const uint32_t> lengths, double now, int priority = 0,
               std::optional<double> deadline = {});

  // Drops what still waits of a request; pairs in the running batch are computed in vain. Returns the tokens saved.
  size_t cancel(uint64_t request);

  // The next batch; no pairs when nothing waits. The caller runs it and then calls finished().
  Plan next(double now);

  // The batch last planned took `seconds`; 0 when it failed.
  void finished(const Plan& plan, double seconds);

  // Predicted seconds until all that is queued is done: for Retry-After and for refusing early.
  double backlog_seconds() const { return cost_.seconds(queued_work_ + running_work_); }
  size_t queued_tokens() const { return queued_tokens_; }
  size_t waiting_requests() const { return order_.size(); }
  const CostModel& cost() const { return cost_; }

 private:
  struct Place {
    int priority;
    double time;
    uint64_t request;
    bool operator<(const Place& other) const {
      if (priority != other.priority) return priority > other.priority;
      if (time != other.time) return time < other.time;
      return request < other.request;
    }
  };
  struct Waiting {
    std::vector<uint32_t> lengths;
    size_t next = 0;  // pairs before it have been planned
    double work = 0;  // of what still waits
    size_t tokens = 0;
    std::optional<double> deadline;
    Place place;
  };
  void forget(uint64_t request);
  bool fits(const Plan& plan, uint32_t length) const;

  PlannerOptions options_;
  CostModel cost_;
  std::map<Place, Waiting*> order_;
  std::unordered_map<uint64_t, Waiting> waiting_;
  size_t queued_tokens_ = 0;
  double queued_work_ = 0, running_work_ = 0;
};

}  // namespace rerank
