#include "schedule/scheduler.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/guarded.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/worker_pool.h"
#include "schedule/gathered.h"
#include "schedule/schedule_metrics.h"

namespace rerank::schedule {
namespace {

// Finished batches whose jobs are not completed yet: several, so that a slow completion does not stop the engine, and
// few, because nothing else bounds them.
constexpr std::ptrdiff_t kMaxPendingCompletions = 4;
// Fewer batches that fail may be the fault of what is in them; later than that one may have recovered.
constexpr size_t kFailuresOfAnEngine = 3;
constexpr std::chrono::seconds kFailureLasts(10);

double seconds_of(TimePoint t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }
TimePoint time_of(double seconds) {
  return TimePoint(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
}
int64_t micros_between(TimePoint a, TimePoint b) {
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

// All that a logit depends on is the sequence: two with the same key have the same score.
Hash128 sequence_key(const Job& job, size_t i) {
  const size_t begin = job.pairs.offsets[i], bytes = job.pairs.length(i) * sizeof(int32_t);
  const HashKey& key = HashKey::of_process();
  const Hash128 ids = keyed_hash(key, {reinterpret_cast<const char*>(job.pairs.ids.data() + begin), bytes});
  const Hash128 segments = keyed_hash(key, {reinterpret_cast<const char*>(job.pairs.segments.data() + begin), bytes});
  const uint64_t fields[] = {ids.low, ids.high, segments.low, segments.high, job.layers};
  return hash128({reinterpret_cast<const char*>(fields), sizeof(fields)});
}

// Tokens that all sequences begin with, where an engine that computes such once would (engine/prefix_plan.h); each
// keeps one of its own.
uint32_t shared_tokens(const engine::Batch& pairs) {
  if (pairs.size() < 2) return 0;
  size_t shared = pairs.length(0) - 1;
  for (size_t i = 1; i < pairs.size() && shared > 0; ++i) {
    const int32_t *first = pairs.ids.data(), *other = first + pairs.offsets[i];
    const size_t most = std::min(shared, pairs.length(i) - 1);
    shared = static_cast<size_t>(std::mismatch(first, first + most, other).first - first);
  }
  return shared * (pairs.size() - 1) >= engine::kLeastSharedTokens ? static_cast<uint32_t>(shared) : 0;
}

}  // namespace

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

  // Finished jobs, to be completed outside the lock.
  using Finished = std::vector<std::pair<std::unique_ptr<Job>, Status>>;

  void take(uint64_t id, const Status& status, Finished& finished) {
    auto found = running.find(id);
    if (found == running.end()) return;
    finished.emplace_back(std::move(found->second.job), status);
    running.erase(found);
  }

  void publish() {
    if (!metrics) return;
    metrics->queued.set(static_cast<double>(planner.queued_tokens()));
    metrics->requests.set(static_cast<double>(planner.waiting_requests()));
    metrics->held.set(static_cast<double>(planner.held_requests()));
    metrics->backlog.set(planner.backlog_seconds(seconds_of(Clock::now())));
  }

  static void complete(Finished& finished) {
    for (auto& [job, status] : finished) {
      auto done = std::move(job->done);
      done(*job, std::move(status));
    }
    finished.clear();
  }

  // What an engine thread has finished. Where a device computes, the completion thread completes it while the next
  // batch runs; elsewhere the same cores would do both.
  void complete_concurrently(Finished& finished) {
    if (completion_thread == nullptr || finished.empty()) return complete(finished);
    pending_completions.acquire();
    completion_thread->post([this, moved = std::make_shared<Finished>(std::exchange(finished, {}))] {
      complete(*moved);
      pending_completions.release();
    });
  }

  void cancel(uint64_t id) {
    Finished finished;
    {
      std::lock_guard lock(mutex);
      if (ended) return;
      ++completing;
      const size_t saved = planner.cancel(id);
      if (metrics) metrics->cancelled.add(static_cast<double>(saved));
      take(id, absl::CancelledError("the client has gone"), finished);
      stop_unwanted();
      publish();
    }
    complete(finished);
    std::lock_guard lock(mutex);
    if (--completing == 0) wake.notify_all();
  }

  void drop_late(const std::vector<uint64_t>& expired, size_t tokens, Finished& finished) {
    for (uint64_t id : expired) {
      take(id, absl::DeadlineExceededError("not done within the deadline: too much was waiting"), finished);
    }
    if (!metrics || expired.empty()) return;
    metrics->expired_requests.add(static_cast<double>(expired.size()));
    metrics->expired.add(static_cast<double>(tokens));
  }

  // Under the lock: drops what is too late by now.
  void expire(TimePoint now, Finished& finished) {
    const size_t before = planner.queued_tokens();
    const auto expired = planner.expire(seconds_of(now));
    drop_late(expired, before - planner.queued_tokens(), finished);
    if (!expired.empty()) stop_unwanted();
  }

  // Under the lock: tells the engine of batches that nobody waits for. What it does not look at ends by itself.
  void stop_unwanted() {
    for (BatchRun* run : in_flight) {
      const auto waits = [&](const PlannedPair& pair) { return running.contains(pair.request); };
      if (std::ranges::none_of(run->plan->pairs, waits) &&
          std::ranges::none_of(run->plan->shared, waits, &SharedResult::pair))
        run->stop = true;  // for good: a pair that joins it now is computed again
    }
  }

  void gather(BatchRun& run) {
    run.gathered.clear();
    const Job* competing = nullptr;
    for (const auto& pair : run.plan->pairs) {
      const Job& job = *running.at(pair.request).job;
      run.gathered.add(job, pair.pair);
      if (job.keep > 0) run.gathered.compete(job, competing == &job);
      competing = job.keep > 0 ? &job : nullptr;
    }
  }

  // Under the lock: the next batch, its sequences copied out. `outer`: it is computed in the midst of that one.
  void prepare(BatchRun& run, TimePoint now, Finished& finished, const BatchRun* outer = nullptr) {
    expire(now, finished);
    run.plan = outer != nullptr ? &planner.next_between(*outer->plan, seconds_of(now)) : &planner.next(seconds_of(now));
    drop_late(run.plan->expired, 0, finished);
    run.status = guarded([&] { gather(run); });
    if (!run.status.ok()) run.gathered.clear();
    run.tokens = run.plan->tokens;
    run.predicted = planner.cost().fitted() ? planner.cost().seconds(run.plan->work) : 0;
    run.idle_since = std::exchange(idle_since, std::nullopt);
    run.stop = false;
    run.interruptible = planner.is_interruptible(*run.plan);
    run.interrupted = {};
    in_flight.push_back(&run);
    publish();
  }

  // Under the lock: when it began, and which jobs are finished.
  void settle(BatchRun& run, Finished& finished) {
    if (!run.empty()) {
      run.began = run.interruptible ? run.handed_over : std::max(run.handed_over, last_end);
      if (seat && !run.interruptible)
        run.began = std::clamp(seat->last_end(), run.began, std::max(run.began, run.ended));
      last_end = std::max(last_end, run.ended);
      if (!run.stop && !run.status.ok()) last_failure = run.ended;
      if (!run.stop) failures = run.status.ok() ? 0 : failures + 1;
      deliver(run);
    }
    const Outcome outcome = planner.finished(*run.plan, seconds_of(last_end), run.seconds(), run.status.ok(),
                                             run.gathered.share_done(run.depths, model_layers));
    for (uint64_t id : outcome.completed) take(id, ok_status(), finished);
    for (uint64_t id : outcome.failed) take(id, run.status, finished);
    std::erase(in_flight, &run);
    if (in_flight.empty() && planner.waiting_requests() > 0) idle_since = last_end;
    publish();
  }

  // Under the lock: logits of the batch to their jobs.
  void deliver(const BatchRun& run) {
    std::unordered_map<uint64_t, bool> counted;
    const auto give = [&](const PlannedPair& pair, size_t slot) {
      auto found = running.find(pair.request);
      if (found == running.end()) return;  // cancelled meanwhile
      Job& job = *found->second.job;
      if (!std::exchange(found->second.begun, true))
        job.queue_us = std::max<int64_t>(0, micros_between(found->second.arrived, run.began));
      if (!std::exchange(counted[pair.request], true)) job.compute_us += run.micros();
      if (!run.status.ok()) return;
      std::copy(&run.logits[run.gathered.results[slot]], run.logits.data() + run.gathered.results[slot + 1],
                &job.logits[job.result_begin(pair.pair)]);
      job.depths[pair.pair] = run.depths[slot];
      if (job.keep > 0 && run.depths[slot] == 0) job.known.push_back(run.logits[slot]);
    };
    for (size_t i = 0; i < run.plan->pairs.size(); ++i) give(run.plan->pairs[i], i);
    for (const auto& shared : run.plan->shared) {
      give(shared.pair, shared.slot);
      if (!metrics || !run.status.ok()) continue;
      metrics->joined.add();
      metrics->joined_tokens.add(run.gathered.batch.length(shared.slot));
    }
  }

  Status compute(BatchRun& run) {
    const Gathered& gathered = run.gathered;
    const engine::OwnedBatch& batch = gathered.batch;
    engine::Batch view = batch.view(&run.stop);
    const std::function<void()> between = [&] { interrupt(run); };
    if (run.interruptible) view.between = &between;
    run.handed_over = run.ended = Clock::now();
    run.depths.clear();
    run.logits.assign(gathered.results.back(), 0);
    run.depths = batch.layers;
    const Status status = gathered.contests.empty()
                              ? backend.forward(view, run.logits)
                              : backend.forward_contests(view, gathered.contests, run.logits, run.depths);
    run.ended = Clock::now();
    return status;
  }

  void count(const BatchRun& run) {
    const size_t tokens = run.gathered.batch.tokens(), pairs = run.gathered.batch.size();
    if (!run.status.ok() && !run.stop)
      log_error(str_cat("batch of ", tokens, " tokens failed: ", message_of(run.status)));
    if (!metrics) return;
    metrics->batches.add();
    if (!run.status.ok() && !run.stop) metrics->failures.add();
    if (run.began > run.handed_over) metrics->overlapped.add();
    if (run.idle_since) metrics->idle_gap.add(static_cast<double>(micros_between(*run.idle_since, run.began)) * 1e-6);
    metrics->tokens.add(static_cast<double>(tokens));
    metrics->pairs.add(static_cast<double>(pairs));
    metrics->seconds.observe(run.seconds());
    metrics->size.observe(static_cast<double>(tokens));
    metrics->size_pairs.observe(static_cast<double>(pairs));
    metrics->fill.observe(static_cast<double>(tokens) / max_batch_tokens);
    if (run.tokens > tokens) metrics->padding.add(static_cast<double>(run.tokens - tokens));
    if (run.predicted > 0) metrics->surprise.observe(run.seconds() / run.predicted);
  }

  // Under the lock: whether a batch that may start then is asked for now. A device's next batch is planned shortly
  // before the one before it ends; beside other models that would be too late to have a share by weight: it waits for
  // its turn.
  bool is_due(std::optional<double> start, double now) const {
    if (!start) return false;
    return *start <= now || stopping || (seat && seat->share() < 1 && backend.info().batches_in_flight > 1);
  }

  // Waits until a batch should begin. False: stopped, and nothing is left.
  bool await_work(std::unique_lock<std::mutex>& lock) {
    while (true) {
      const double now = seconds_of(Clock::now());
      const auto start = planner.start_time(now);
      if (is_due(start, now)) return true;
      if (seat) seat->withdraw();  // what was announced has been cancelled
      if (!start && stopping) return false;
      if (!start) idle_since.reset();
      start ? (void)wake.wait_until(lock, time_of(*start)) : wake.wait(lock);
    }
  }

  // What arrives while others compute may be part of the batch that is planned then.
  void take_turn(std::unique_lock<std::mutex>& lock) {
    if (!seat) return;
    const double seconds = planner.next_batch_seconds();
    lock.unlock();
    seat->take(seconds);
    lock.lock();
    planner.set_share(seat->share());
    if (seat->share() < 1) idle_since.reset();  // it was others' time
    turn_began = Clock::now();
  }

  // The turn of an interruptible batch, between its parts.
  void pass_turn(const BatchRun& run) {
    if (!seat) return;
    const TimePoint now = Clock::now();
    seat->give_back(static_cast<double>(micros_between(turn_began, now)) * 1e-6, run.predicted);
    seat->take(run.predicted);
    turn_began = Clock::now();
  }

  // Under the lock. What waits is announced with it: else whoever asks a moment earlier would be next each time.
  void give_turn_back(const BatchRun& run) {
    if (!seat) return;
    const double now = seconds_of(Clock::now());
    const bool due = is_due(planner.start_time(now), now);
    const double seconds =
        run.interruptible ? static_cast<double>(micros_between(turn_began, run.ended)) * 1e-6 : run.seconds();
    seat->give_back(seconds, due ? std::optional(planner.next_batch_seconds()) : std::nullopt);
  }

  void serve() {
    Finished finished;
    BatchRun run;
    std::unique_lock lock(mutex);
    while (await_work(lock)) {
      take_turn(lock);
      run_next(run, finished, lock);
    }
  }

  // Under the lock, which it releases meanwhile.
  void run_next(BatchRun& run, Finished& finished, std::unique_lock<std::mutex>& lock,
                const BatchRun* outer = nullptr) {
    prepare(run, Clock::now(), finished, outer);
    lock.unlock();
    wake.notify_one();  // another engine thread: what is left may be the next batch
    complete_concurrently(finished);
    if (!run.empty()) run.status = guarded([&] { return compute(run); });
    lock.lock();
    settle(run, finished);
    if (outer == nullptr) give_turn_back(run);
    lock.unlock();
    if (!run.empty()) count(run);
    complete_concurrently(finished);
    lock.lock();
  }

  // On the engine's thread, between two parts of a batch: what goes first.
  void interrupt(BatchRun& outer) noexcept {
    const TimePoint begin = Clock::now();
    Finished finished;
    std::unique_lock lock(mutex);
    for (bool more = true; more && !outer.stop && planner.waiting_requests() > 0;) {
      BatchRun run;
      run_next(run, finished, lock, &outer);
      more = !run.empty();
      if (more && metrics) metrics->interrupting.add();
    }
    lock.unlock();
    pass_turn(outer);
    outer.interrupted += Clock::now() - begin;
  }

  void watch_deadlines() {
    Finished finished;
    std::unique_lock lock(mutex);
    while (!ended) {
      const auto next = planner.next_deadline();
      alarm_at = next ? time_of(*next) : TimePoint::max();
      next ? (void)alarm.wait_until(lock, alarm_at) : alarm.wait(lock);
      expire(Clock::now(), finished);
      lock.unlock();
      complete(finished);
      lock.lock();
    }
  }
};

Scheduler::Scheduler(engine::Backend& backend, const PlannerOptions& options, Metrics* metrics,
                     std::span<const MeasuredBatch> measured, size_t model_layers, std::unique_ptr<Turns::Seat> seat)
    : state_(std::make_shared<State>(backend, options, metrics, model_layers, std::move(seat))) {
  for (const MeasuredBatch& batch : measured) {
    double work = 0;
    for (uint32_t length : batch.lengths) work += state_->planner.cost().work(length);
    state_->planner.observe(work, batch.seconds);
  }
  state_->start();
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  for (std::thread& engine : state_->engines) engine.join();
  state_->completion_thread.reset();
  {
    std::unique_lock lock(state_->mutex);
    state_->ended = true;
    state_->wake.wait(lock, [this] { return state_->completing == 0; });
  }
  state_->alarm.notify_all();
  state_->watch.join();
}

void Scheduler::submit(std::unique_ptr<Job> job) {
  const size_t sequences = job->pairs.size();
  std::vector<uint32_t> lengths(sequences);
  std::vector<Hash128> keys(job->share && job->keep == 0 ? sequences : 0);
  const auto step = static_cast<uint32_t>(state_->backend.info().length_step);
  for (size_t i = 0; i < sequences; ++i) lengths[i] = (job->pairs.length(i) + step - 1) / step * step;
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = sequence_key(*job, i);
  const uint32_t shared = state_->backend.prefix_counters() ? shared_tokens(job->pairs) : 0;
  job->shared_tokens = shared;
  job->logits.assign(job->result_begin(static_cast<uint32_t>(sequences)), 0);
  job->depths.assign(sequences, 0);
  Status status;
  uint64_t id = 0;
  bool alarming = false;
  const std::shared_ptr<Cancellation> cancellation = job->cancellation;
  if (sequences > 0) {
    std::lock_guard lock(state_->mutex);
    const TimePoint now = Clock::now();
    id = state_->next_id++;
    // First, for it may throw: the planner must not know a request that is not there.
    Running& place = state_->running[id] = {nullptr, now};
    Arrival arrival{id, lengths, keys, job->priority, std::nullopt, shared};
    if (job->deadline) arrival.deadline = seconds_of(*job->deadline);
    if (state_->seat) state_->planner.set_share(state_->seat->share());
    status = state_->stopping ? absl::UnavailableError("stopping")
                              : guarded([&] { return state_->planner.admit(arrival, seconds_of(now)); });
    if (status.ok()) {
      alarming = job->deadline && *job->deadline < state_->alarm_at;
      place.job = std::exchange(job, nullptr);
    } else {
      state_->running.erase(id);
      if (state_->metrics) {
        (absl::IsResourceExhausted(status) ? state_->metrics->overloaded : state_->metrics->impossible).add();
      }
    }
    state_->publish();
  }
  if (job) {  // refused, or nothing to do
    auto done = std::move(job->done);
    done(*job, std::move(status));
    return;
  }
  state_->wake.notify_one();
  if (alarming) state_->alarm.notify_one();
  if (!cancellation) return;
  cancellation->on_cancel([weak = std::weak_ptr<State>(state_), id] {
    if (const auto state = weak.lock()) state->cancel(id);
  });
}

Status Scheduler::check(size_t tokens, int priority, std::optional<TimePoint> deadline) const {
  std::lock_guard lock(state_->mutex);
  std::optional<double> seconds;
  if (deadline) seconds = seconds_of(*deadline);
  Status status = state_->planner.check(tokens, priority, seconds, seconds_of(Clock::now()));
  if (!status.ok() && state_->metrics) {
    (absl::IsResourceExhausted(status) ? state_->metrics->overloaded : state_->metrics->impossible).add();
  }
  return status;
}

double Scheduler::backlog_seconds() const {
  std::lock_guard lock(state_->mutex);
  return state_->planner.backlog_seconds(seconds_of(Clock::now()));
}

bool Scheduler::engine_fails(TimePoint now) const {
  return state_->failures >= kFailuresOfAnEngine && now - state_->last_failure.load() < kFailureLasts;
}

double Scheduler::predicted_seconds(std::span<const uint32_t> lengths) const {
  std::lock_guard lock(state_->mutex);
  double work = 0;
  for (uint32_t length : lengths) work += state_->planner.cost().work(length);
  return state_->planner.cost().seconds(work);
}

}  // namespace rerank::schedule
