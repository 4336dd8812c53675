// The thin threaded shell around the planner: takes jobs from any thread, runs batches on one engine thread, hands
// logits back.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "rerank/types.h"
#include "schedule/planner.h"

namespace rerank {

class Metrics;

// The pairs of one request that have to be computed.
struct Job {
  // Sequences end to end, as in engine/batch.h; owned by the job.
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets{0};
  uint8_t layers = 0;  // computed of each sequence; 0: all
  int priority = 0;
  std::optional<TimePoint> deadline;
  std::shared_ptr<Cancellation> cancellation;  // null: cannot be cancelled

  // What the shell fills in before done().
  std::vector<float> logits;  // one per sequence
  int64_t queue_us = 0;       // until the job's first batch began
  int64_t compute_us = 0;     // sum of its batches' times

  // Called exactly once, on the engine thread (or in submit() when the job is refused); must not block. Logits are
  // valid when the status is ok.
  std::function<void(Job&, Status)> done;
};

class Scheduler {
 public:
  // The backend and metrics must outlive the scheduler. `metrics` may be null.
  Scheduler(Backend& backend, const PlannerOptions& options, Metrics* metrics);
  // Runs what was accepted, then stops.
  ~Scheduler();

  void submit(std::unique_ptr<Job> job);

  // Seconds until what is queued is done, as predicted: for Retry-After.
  double backlog_seconds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rerank
