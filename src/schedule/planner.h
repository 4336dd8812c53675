// Chooses the next batch. A pure state machine: no threads, no clock (callers pass times in), no metrics. The threads
// around it are schedule/scheduler.h, and tests/simulation drives it with a simulated clock.
//
// Order. Every request has a queue position:
//     position = arrival + size_penalty * (predicted time of the whole request), or its latest start where a deadline
//     asks for an earlier one.
// A request larger than a batch gets a position for each of its batches, each `size_penalty` times its own time after
// the one before, and large requests follow one another in a lane of their own. So small requests overtake large ones
// that came shortly before, and never wait for the whole of one. All large ones together get 1/size_penalty of the
// engine, and what the small ones leave. No request waits for ever, because positions rise with time. Higher priority
// goes first. A batch takes pairs in that order until its budget is full, so requests of a batch and less finish one
// after another instead of all at the end.
//
// Deadlines. A request with a deadline is admitted only if it can be computed in time at its position, or at an earlier
// one. No later request is scheduled ahead of an admitted one if that would make it miss its deadline, whatever their
// priorities.
//
// Equal pairs that wait at the same time, of one request or of many, are computed once (schedule/shared_pairs.h), also
// when one of them is in a running batch already. Each request keeps its own claim: when another one is cancelled,
// expires or fails, the pair is computed at this one's position.
//
// Batches run one after another. Where the engine takes the next one while it computes (BackendInfo::batches_in_flight)
// that one is planned shortly before the other is predicted to end: early enough for the engine not to be idle, and no
// earlier, because requests that arrive until then may still be part of it.
//
// A pair that alone takes longer than a batch may is a batch that can be interrupted, where the engine can
// (BackendInfo::interruptible). Between its parts goes what waits at an earlier queue position, as far as it takes at
// most half of what is left of the batch, and the batch's own deadline allows it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "rerank/status.h"
#include "schedule/cost_model.h"
#include "schedule/shared_pairs.h"

namespace rerank::schedule {

// Times are seconds on any steady clock. What operators may set is explained in rerank/options.h.
struct PlannerOptions {
  size_t max_batch_tokens = 8192;  // tokens of one batch; a longer pair goes alone
  double max_batch_seconds = 0.25;
  // While other models want the engine's threads, too: what the requests of a small model wait for a batch of a large
  // one. Shorter batches would cost throughput: each thread should have some hundred tokens of one.
  double shared_batch_seconds = 0.05;
  size_t max_queued_tokens = 4u << 20;
  double max_queue_seconds = 20;  // predicted wait of an arriving request; 0: no bound
  double max_wait_seconds = 0;    // an idle engine waits that long for more work, if it is likely
  size_t max_held_requests = 0;   // requests over the bounds that are held instead of refused; 0: they are refused
  double size_penalty = 2.0;
  AttentionCost attention;
  // Predicted waits are multiplied by this when deadlines are checked, because machines share cores and clocks. It
  // costs no throughput: the queue is not empty where it matters.
  double prediction_margin = 1.25;
  // How long before the predicted end of the running batch the next one is planned: a fixed time, and a share of the
  // running batch's time, because predictions are off by about that. Planned too late, the engine is idle; too early,
  // requests that arrive meanwhile are left out. The host needs about a millisecond to plan and gather a batch and to
  // copy it in (an estimate: not measured on a GPU).
  double prepare_seconds = 0.002;
  double prepare_share = 0.1;
  bool pads = false;             // the engine pads a batch to its longest pair: similar lengths go together
  double padding_budget = 0.25;  // how much shorter than the longest pair of such a batch another may be
  bool interruptible = false;    // the engine computes other batches between parts of a long one
};

struct Arrival {
  uint64_t request = 0;  // rising
  std::span<const uint32_t> lengths;
  std::span<const Hash128> keys;  // per pair, equal for equal pairs; null ones, or none: not shared
  int priority = 0;
  std::optional<double> deadline;
  uint32_t shared = 0;  // tokens that all its pairs begin with, and that are computed once
};

struct PlannedPair {
  uint64_t request = 0;
  uint32_t pair = 0;  // position in the lengths given to admit()
};

struct SharedResult {
  size_t slot = 0;  // in Plan::pairs: the equal pair that is computed
  PlannedPair pair;
};

struct Plan {
  std::vector<PlannedPair> pairs;    // what is computed
  std::vector<SharedResult> shared;  // other pairs that get its results; grows until the batch has ended
  std::vector<uint64_t> expired;     // requests dropped since the last plan: their deadline cannot be met any more
  size_t tokens = 0;                 // padding included
  double work = 0;                   // in the cost model's unit
  QueuePosition
      position;  // of the first pair: its request's, and where it is longer than a batch as if it were several
  double deadline = std::numeric_limits<double>::infinity();  // the earliest one of its requests
};

// What became of requests when a batch ended.
struct Outcome {
  std::vector<uint64_t> completed;
  std::vector<uint64_t> failed;
};

class Planner {
 public:
  explicit Planner(const PlannerOptions& options)
      : options_(options), cost_(options.attention), batch_seconds_(options.max_batch_seconds) {}

  // Admits a whole request or refuses it. ResourceExhausted, with the seconds after which a retry makes sense: too much
  // waits already, or too much to meet its deadline. DeadlineExceeded: it cannot be computed in time even alone.
  Status admit(const Arrival& arrival, double now);

  // What admit() would answer for one pair of `tokens` that is not shared. So a request that will be refused need not
  // be tokenized first.
  Status check(size_t tokens, int priority, std::optional<double> deadline, double now) const;

  // Forgets a request; results of its pairs in running batches are dropped. Returns the tokens that need not be
  // computed any more.
  size_t cancel(uint64_t request);

  // Forgets requests whose deadline has passed while some of their pairs still wait, and names them. (One whose last
  // pairs are running gets its answer, less than a batch late; but where a long pair makes that batch longer than
  // max_batch_seconds, it is forgotten, too.)
  std::vector<uint64_t> expire(double now);
  std::optional<double> next_deadline() const;  // when expire() next has something to do, at the earliest

  // When the next batch should begin, no earlier than it may; null: nothing waits.
  std::optional<double> start_time(double now) const;

  // The next batch; no pairs when nothing waits. The caller runs it after those that run already, and then calls
  // finished(), until which the plan lives.
  const Plan& next(double now);

  // Whether next_between() is worth asking while that batch runs.
  bool is_interruptible(const Plan& running) const {
    return options_.interruptible && cost_.fitted() && cost_.seconds(running.work) > batch_seconds_;
  }
  // A batch that is computed before the rest of `running`, the batch planned last of those that run; no pairs: none
  // should be. finished() as of next()'s.
  const Plan& next_between(const Plan& running, double now);

  // A batch has ended: it took the engine `seconds`, without the wait for an earlier batch, and failed or not. `done`:
  // the share of its work that was computed, where documents have left before the last layer.
  Outcome finished(const Plan& plan, double now, double seconds, bool ok, double done = 1);

  // The part of the engine's time that it gets from now on, above 0; 1: all. What waits is predicted to take longer in
  // proportion.
  void set_share(double share) {
    slowdown_ = 1 / share;
    batch_seconds_ = options_.max_batch_seconds;
    if (share < 1) batch_seconds_ = std::min(batch_seconds_, options_.shared_batch_seconds);
  }

  // Predicted seconds of the next batch; 0: nothing waits.
  double next_batch_seconds() const;

  // Observes a batch that was run outside of it: warm-up.
  void observe(double work, double seconds) { cost_.observe(work, seconds); }

  // Predicted seconds until all that is queued is done.
  double backlog_seconds(double now) const { return running_left(now) + predict(queued_work_); }
  size_t queued_tokens() const { return queued_tokens_; }  // equal pairs once
  size_t waiting_requests() const { return order_.size(); }
  size_t held_requests() const { return held_.size(); }
  const CostModel& cost() const { return cost_; }

 private:
  enum class PairState : uint8_t { kQueued, kRunning, kDone };
  struct Request {
    uint64_t id = 0;
    double arrival = 0;
    std::optional<double> deadline;
    int priority = 0;
    std::vector<uint32_t> lengths;
    std::vector<double> works;  // of each pair: its own tokens', and its part of what all begin with
    double all_work = 0;        // of all pairs
    size_t all_tokens = 0;
    std::vector<Hash128> keys;  // as long as lengths, or empty
    std::vector<PairState> states;
    std::vector<uint32_t> sequence;  // order in which its pairs are planned; empty: as they are
    size_t next = 0;                 // pairs before it, in that order, do not wait
    size_t queued = 0, unfinished = 0;
    double work = 0;  // of its pairs that wait, without those that come sooner with an equal pair of another request
    QueuePosition position;
    bool held = false, begun = false;
    Hash128 key(size_t pair) const { return keys.empty() ? Hash128() : keys[pair]; }
  };
  struct Running {
    Plan plan;
    double begins = 0;  // once it is the first of them: when it did, later by the time of what interrupted it
    Running* interrupted = nullptr;  // what it is computed in the midst of
  };
  struct RunningPair {
    Plan* plan = nullptr;
    size_t slot = 0;
  };
  // What position_for() looks at.
  struct Candidate {
    uint64_t id = 0;
    int priority = 0;
    double arrival = 0;
    std::optional<double> deadline;
    double work = 0;          // of all its pairs
    size_t fresh_tokens = 0;  // of pairs that are not waiting in another request already
    size_t pairs = 0;         // 0: not known
  };

  double predict(double work) const;        // until that much of what waits has been computed
  double predict_alone(double work) const;  // if nothing else is computed
  double full_batch() const;
  double later_penalty(double work) const;
  double position_time(double arrival, double work) const;
  double running_left(double now) const;
  double left_of(const Running& running, double now) const;
  double between_limit(const Running& running, double now) const;
  double wait_for_running(const QueuePosition& position, double work, double now) const;
  void set_works(Request& request, uint32_t shared) const;
  Candidate candidate_of(const Request& request) const;
  Result<QueuePosition> position_for(const Candidate& candidate, double now) const;
  bool may_overtake(const Request& other, double start, double ahead, double work, bool jump) const;
  Status hold(Request&& request, const Status& refusal);
  void promote_held(double now);
  void note_arrival(double now);
  void set_position(Request& request, const QueuePosition& position, double work);

  void enqueue(Request& request);
  void enqueue_pair(Request& request, uint32_t pair);
  void withdraw_pair(Request& request, uint32_t pair);
  void account(Request& request, uint32_t pair, int sign);
  void mark_running(const SharedPairMember& member);
  void forget(uint64_t request);
  void move_back(Request& request, double work_before);

  void begin_plan(double begins, double seconds, Running* interrupted);
  bool is_too_late(const Request& request) const;
  bool fill(Request& request);  // false: it has pairs that found no room
  bool fits(const Request& request, uint32_t pair) const;
  void take(Request& request, uint32_t pair);
  void settle(const PlannedPair& pair, Outcome& outcome);

  PlannerOptions options_;
  CostModel cost_;
  double batch_seconds_;                             // of a full batch, at most
  double slowdown_ = 1;                              // of what waits, since others compute
  std::unordered_map<uint64_t, Request> requests_;   // until completed, failed, cancelled or expired
  std::map<QueuePosition, Request*> order_;          // requests with pairs that wait
  std::map<QueuePosition, Request*> held_;           // requests that do not fit the bounds yet
  std::set<std::pair<double, uint64_t>> deadlines_;  // of requests in order_ or held_
  SharedPairs shared_pairs_;                         // pairs that wait and have a key
  std::list<Running> running_;                       // until they have ended, in the order of next()
  std::unordered_map<Hash128, RunningPair, Hash128Hasher> running_keys_;
  Plan* plan_ = nullptr;                 // that is being filled
  uint32_t shortest_ = 0, longest_ = 0;  // of its pairs
  double begins_ = 0;                    // when it will, as predicted
  double plan_seconds_ = 0;              // that it may take, where it has more than one pair
  double earliest_deadline_ = 0;         // the earliest deadline of requests that it completes
  size_t queued_tokens_ = 0;
  double queued_work_ = 0;
  double last_arrival_ = 0, mean_gap_ = 0;  // 0: not known yet
  double waiting_since_ = 0;
  double pair_work_ = 1;       // of a pair of those that came lately: a batch holds one at least
  double large_lane_end_ = 0;  // the last position of large requests so far
};

}  // namespace rerank::schedule
