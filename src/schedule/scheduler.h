// The threads around the planner: takes jobs from any thread, runs batches on one engine thread, completes jobs (where
// a device computes, on a completion thread, while the next batch runs). Where the engine takes a batch while it
// computes another (BackendInfo::batches_in_flight) there are as many engine threads, each with a batch of its own.
// Another thread watches deadlines, so that a job which cannot be computed in time any more is completed while a batch
// runs. A cancelled job is completed by the thread that cancels it. Where several models share what computes, a batch
// is planned when it is this model's turn (schedule/turns/turns.h). Between parts of a batch of one long pair, where
// the engine can, its thread computes what goes first, and gives the turn to other models.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "rerank/types.h"
#include "schedule/planner.h"
#include "schedule/turns/turns.h"

namespace rerank {
class Metrics;
}

namespace rerank::schedule {

// The pairs of one request that have to be computed.
struct Job {
  engine::OwnedBatch pairs;  // says no layers
  uint8_t layers = 0;        // computed of each sequence; 0: all
  int priority = 0;
  std::optional<TimePoint> deadline;
  std::shared_ptr<Cancellation> cancellation;  // null: cannot be cancelled
  bool share = true;                           // equal sequences of this and other jobs are computed once
  // Above 0: only the best `keep` sequences are wanted, and others may leave at exits (engine/batch.h, Contest). Such
  // sequences are not shared.
  uint32_t keep = 0;
  float margin = 0;
  uint32_t stay = 0;
  std::shared_ptr<engine::SeenOutputs> seen;
  std::vector<float> known;  // full-depth logits of competitors that need not be computed

  // Of a model that makes vectors (engine::Backend::forward()): where each sequence's floats begin in `logits`, and
  // after them where the last one's end. Empty: one each.
  std::vector<uint32_t> result_offsets;

  // What the shell fills in before done().
  uint32_t shared_tokens = 0;   // that all of `pairs` begin with, where the engine computes such once
  std::vector<float> logits;    // one per sequence, or as result_offsets says
  std::vector<uint8_t> depths;  // layers that each was computed to, 0: all; where fewer, the logit is a guess
  int64_t queue_us = 0;         // until the engine began the job's first batch
  int64_t compute_us = 0;       // sum of its batches' times, without waits for earlier batches

  // Called exactly once; must not block. On an engine thread, or on the completion thread where the engine computes on
  // a device (BackendInfo::offloads), or on the one that submits, cancels or watches deadlines. Logits are valid when
  // the status is ok.
  std::function<void(Job&, Status)> done;

  // Results of sequence i are logits[result_begin(i), result_begin(i + 1)).
  uint32_t result_begin(uint32_t i) const { return result_offsets.empty() ? i : result_offsets[i]; }
};

// One batch that was run before serving, so that the first predictions are sound.
struct MeasuredBatch {
  std::vector<uint32_t> lengths;
  double seconds = 0;
};

class Scheduler {
 public:
  // The backend and metrics must outlive the scheduler. `metrics` may be null. `model_layers`: what depths are measured
  // against; 0: every batch counts as computed to the full depth.
  // `seat`: takes turns with other models; null: there are none.
  Scheduler(engine::Backend& backend, const PlannerOptions& options, Metrics* metrics,
            std::span<const MeasuredBatch> measured = {}, size_t model_layers = 0,
            std::unique_ptr<Turns::Seat> seat = nullptr);
  // Runs what was accepted, then stops.
  ~Scheduler();

  void submit(std::unique_ptr<Job> job);

  // What submit() would answer for a job of `tokens`. So a job that will be refused need not be tokenized first.
  Status check(size_t tokens, int priority, std::optional<TimePoint> deadline) const;

  // Seconds until what is queued is done, as predicted: for Retry-After.
  double backlog_seconds() const;
  // Whether the engine fails: its last three batches or more, the last of them within ten seconds. After that the next
  // batch decides: a request may find out whether it computes again.
  bool engine_fails(TimePoint now = Clock::now()) const;

  // Predicted seconds of one batch of these lengths.
  double predicted_seconds(std::span<const uint32_t> lengths) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace rerank::schedule
