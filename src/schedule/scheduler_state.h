// What a scheduler's threads share. Included only by scheduler*.cc: jobs come and go in scheduler.cc, batches run in
// scheduler_batches.cc.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/worker_pool.h"
#include "schedule/gathered.h"
#include "schedule/schedule_metrics.h"
#include "schedule/scheduler.h"

namespace rerank::schedule {

// Finished batches whose jobs are not completed yet: several, so that a slow completion does not stop the engine, and
// few, because nothing else bounds them.
inline constexpr std::ptrdiff_t kMaxPendingCompletions = 4;

inline double seconds_of(TimePoint t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }
inline TimePoint time_of(double seconds) {
  return TimePoint(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
}
inline int64_t micros_between(TimePoint a, TimePoint b) {
  return std::chrono::duration_cast<std::chrono::microseconds>(b - a).count();
}

struct Running {
  std::unique_ptr<Job> job;
  TimePoint arrived;
  bool begun = false;  // a batch of it has ended
};

// A batch on its way through the engine.
struct BatchRun {
  const Plan* plan = nullptr;
  Gathered gathered;
  double predicted = 0;  // its seconds
  size_t tokens = 0;     // padding included
  Status status;
  std::vector<float> logits;
  std::vector<uint8_t> depths;
  TimePoint handed_over, began, ended;  // began: when earlier batches had ended
  std::optional<TimePoint> idle_since;  // since when the engine was idle while work waited
  std::atomic<bool> stop = false;       // nobody waits for its results any more
  bool interruptible = false;           // between its parts others are computed
  Clock::duration interrupted{};        // time of those

  bool empty() const { return gathered.batch.layers.empty(); }
  double seconds() const { return static_cast<double>(micros()) * 1e-6; }
  int64_t micros() const { return empty() ? 0 : std::max<int64_t>(0, micros_between(began, ended - interrupted)); }
};

struct Scheduler::State {
  State(engine::Backend& b, const PlannerOptions& options, Metrics* m, size_t depth, std::unique_ptr<Turns::Seat> s)
      : backend(b),
        seat(std::move(s)),
        max_batch_tokens(static_cast<double>(options.max_batch_tokens)),
        model_layers(depth),
        planner(for_engine(options, b.info())) {
    if (m != nullptr) metrics = std::make_unique<ScheduleMetrics>(*m);
    if (backend.info().offloads) completion_thread = std::make_unique<WorkerPool>(1);
  }

  static PlannerOptions for_engine(PlannerOptions options, const engine::BackendInfo& info) {
    options.interruptible = info.interruptible && info.batches_in_flight <= 1;
    return options;
  }

  // A thread for each batch that may be in flight: it hands one over and waits for it.
  void start() {
    for (size_t i = 0; i < std::max<size_t>(1, backend.info().batches_in_flight); ++i)
      engines.emplace_back([this] { serve(); });
    watch = std::thread([this] { watch_deadlines(); });
  }

  // Finished jobs, to be completed outside the lock.
  using Finished = std::vector<std::pair<std::unique_ptr<Job>, Status>>;

  // Jobs.
  void take(uint64_t id, const Status& status, Finished& finished);
  void publish();
  static void complete(Finished& finished);
  void complete_concurrently(Finished& finished);
  void cancel(uint64_t id);
  void drop_late(const std::vector<uint64_t>& expired, size_t tokens, Finished& finished);
  void expire(TimePoint now, Finished& finished);
  void stop_unwanted();
  void watch_deadlines();

  // Batches, on the engine threads.
  void gather(BatchRun& run);
  void prepare(BatchRun& run, TimePoint now, Finished& finished, const BatchRun* outer = nullptr);
  void settle(BatchRun& run, Finished& finished);
  void deliver(const BatchRun& run);
  Status compute(BatchRun& run);
  void count(const BatchRun& run);
  bool is_due(std::optional<double> start, double now) const;
  bool await_work(std::unique_lock<std::mutex>& lock);
  void take_turn(std::unique_lock<std::mutex>& lock);
  void pass_turn(const BatchRun& run);
  void give_turn_back(const BatchRun& run);
  void serve();
  void run_next(BatchRun& run, Finished& finished, std::unique_lock<std::mutex>& lock, const BatchRun* outer = nullptr);
  void interrupt(BatchRun& outer) noexcept;

  engine::Backend& backend;
  const std::unique_ptr<Turns::Seat> seat;  // null: nobody else computes
  const double max_batch_tokens;
  const size_t model_layers;
  std::unique_ptr<ScheduleMetrics> metrics;
  mutable std::mutex mutex;
  std::condition_variable wake;   // the engine threads: something waits
  std::condition_variable alarm;  // the watching thread: the next deadline has changed
  bool stopping = false, ended = false;
  Planner planner;                                // guarded by mutex
  std::unordered_map<uint64_t, Running> running;  // guarded by mutex
  TimePoint alarm_at = TimePoint::max();          // when the watching thread wakes; guarded by mutex
  uint64_t next_id = 0;
  size_t completing = 0;  // threads that cancel, inside done(); guarded by mutex
  // Written under the mutex, read without it: probes do not wait for a batch that is planned.
  std::atomic<size_t> failures = 0;  // batches that failed since one did not
  std::atomic<TimePoint> last_failure = TimePoint();
  std::vector<BatchRun*> in_flight;     // batches; guarded by mutex, as what follows
  TimePoint last_end;                   // of a batch
  std::optional<TimePoint> idle_since;  // since the last batch ended, while work waits
  TimePoint turn_began;                 // of an engine that is interruptible: its one thread's
  std::vector<std::thread> engines;
  std::thread watch;
  std::counting_semaphore<kMaxPendingCompletions> pending_completions{kMaxPendingCompletions};
  std::unique_ptr<WorkerPool> completion_thread;  // null: the engine threads complete jobs
};

}  // namespace rerank::schedule
