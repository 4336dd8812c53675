#include "schedule/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/strings.h"
#include "base/worker_pool.h"
#include "schedule/gathered.h"
#include "schedule/schedule_metrics.h"

namespace rerank {
namespace {

// Batches whose answers may wait to be told while the engine goes on: some, so that a slow one holds nobody up, and few,
// for nothing else bounds them.
constexpr std::ptrdiff_t kMostUntold = 4;

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
  bool begun = false;
};

// All that a logit depends on is the sequence: two with the same key have the same score.
Hash128 sequence_key(const Job& job, size_t i) {
  const size_t begin = job.offsets[i], bytes = (job.offsets[i + 1] - begin) * sizeof(int32_t);
  const Hash128 ids = hash128({reinterpret_cast<const char*>(job.ids.data() + begin), bytes}, job.layers);
  const Hash128 segments = hash128({reinterpret_cast<const char*>(job.segments.data() + begin), bytes}, ids.low);
  return {ids.low ^ segments.low, ids.high ^ segments.high};
}

}  // namespace

struct Scheduler::State {
  State(Backend& b, const PlannerOptions& options, Metrics* m, size_t depth)
      : backend(b),
        max_batch_tokens(static_cast<double>(options.max_batch_tokens)),
        model_layers(depth),
        planner(options) {
    if (m != nullptr) metrics = std::make_unique<ScheduleMetrics>(*m);
    if (backend.info().offloads) teller = std::make_unique<WorkerPool>(1);
  }

  Backend& backend;
  const double max_batch_tokens;
  const size_t model_layers;
  std::unique_ptr<ScheduleMetrics> metrics;
  mutable std::mutex mutex;
  std::condition_variable wake;   // the engine thread: something waits
  std::condition_variable alarm;  // the watching thread: the next deadline has changed
  bool stopping = false, ended = false;
  Planner planner;                                // guarded by mutex
  std::unordered_map<uint64_t, Running> running;  // guarded by mutex
  TimePoint alarm_at = TimePoint::max();          // when the watching thread wakes; guarded by mutex
  uint64_t next_id = 0;
  size_t telling = 0;         // threads that cancel, on their way through done(); guarded by mutex
  Gathered gathered;          // engine thread only
  size_t planned_tokens = 0;  // of the running batch, padding included; engine thread only
  std::vector<float> logits;    // engine thread only
  std::vector<uint8_t> depths;  // engine thread only
  std::thread engine, watch;
  std::counting_semaphore<kMostUntold> untold{kMostUntold};
  std::unique_ptr<WorkerPool> teller;  // null: the engine thread tells

  // Finished jobs, to be told outside the lock.
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

  static void tell(Finished& finished) {
    for (auto& [job, status] : finished) {
      auto done = std::move(job->done);
      done(*job, std::move(status));
    }
    finished.clear();
  }

  // What the engine thread has finished. Where a device computes, the host tells it while the next batch runs; elsewhere
  // the same cores would do both.
  void tell_beside(Finished& finished) {
    if (teller == nullptr || finished.empty()) return tell(finished);
    untold.acquire();
    teller->post([this, moved = std::make_shared<Finished>(std::exchange(finished, {}))] {
      tell(*moved);
      untold.release();
    });
  }

  void cancel(uint64_t id) {
    Finished finished;
    {
      std::lock_guard lock(mutex);
      if (ended) return;
      ++telling;
      const size_t saved = planner.cancel(id);
      if (metrics) metrics->cancelled.add(static_cast<double>(saved));
      take(id, absl::CancelledError("the client has gone"), finished);
      publish();
    }
    tell(finished);
    std::lock_guard lock(mutex);
    if (--telling == 0) wake.notify_all();
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
  }

  // Under the lock: the next batch, its sequences copied out. Its predicted seconds.
  double prepare(TimePoint now, Finished& finished) {
    expire(now, finished);
    const Plan& plan = planner.next(seconds_of(now));
    drop_late(plan.expired, 0, finished);
    const auto begin = [&](uint64_t request) {
      Running& r = running.at(request);
      if (!r.begun) r.job->queue_us = micros_between(r.arrived, now);
      r.begun = true;
    };
    gathered.clear();
    const Job* competing = nullptr;
    for (const auto& pair : plan.pairs) {
      begin(pair.request);
      const Job& job = *running.at(pair.request).job;
      gathered.add(job, pair.pair);
      if (job.keep > 0) gathered.compete(job, competing == &job);
      competing = job.keep > 0 ? &job : nullptr;
    }
    for (const auto& shared : plan.shared) begin(shared.pair.request);
    planned_tokens = plan.tokens;
    publish();
    return planner.cost().fitted() ? planner.cost().seconds(plan.work) : 0;
  }

  // Under the lock: logits of the batch to their jobs.
  void settle(const Status& status, int64_t micros, Finished& finished) {
    const Plan& plan = planner.running();
    std::unordered_map<uint64_t, bool> counted;
    const auto deliver = [&](const PlannedPair& pair, size_t slot) {
      auto found = running.find(pair.request);
      if (found == running.end()) return;  // cancelled meanwhile
      Job& job = *found->second.job;
      if (!std::exchange(counted[pair.request], true)) job.compute_us += micros;
      if (!status.ok()) return;
      job.logits[pair.pair] = logits[slot];
      job.depths[pair.pair] = depths[slot];
      if (job.keep > 0 && depths[slot] == 0) job.known.push_back(logits[slot]);
    };
    for (size_t i = 0; i < plan.pairs.size(); ++i) deliver(plan.pairs[i], i);
    for (const auto& shared : plan.shared) {
      deliver(shared.pair, shared.slot);
      if (!metrics || !status.ok()) continue;
      metrics->joined.add();
      metrics->joined_tokens.add(gathered.offsets[shared.slot + 1] - gathered.offsets[shared.slot]);
    }
    const Outcome outcome = planner.finished(static_cast<double>(micros) * 1e-6, status.ok(), share_done());
    for (uint64_t id : outcome.completed) take(id, ok_status(), finished);
    for (uint64_t id : outcome.failed) take(id, status, finished);
    publish();
  }

  // The share of the running batch's layers that were computed, by tokens.
  double share_done() const {
    if (model_layers == 0 || gathered.ids.empty()) return 1;
    double layers = 0;
    for (size_t i = 0; i < depths.size(); ++i) {
      const size_t depth = depths[i] == 0 ? model_layers : depths[i];
      layers += static_cast<double>(depth * (gathered.offsets[i + 1] - gathered.offsets[i]));
    }
    return layers / static_cast<double>(model_layers * gathered.ids.size());
  }

  Status compute() {
    const size_t sequences = gathered.layers.size();
    logits.assign(sequences, 0);
    depths = gathered.layers;
    const Batch batch{gathered.ids, gathered.segments, gathered.offsets, gathered.layers};
    if (gathered.contests.empty()) return backend.forward(batch, logits);
    return backend.forward_contests(batch, gathered.contests, logits, depths);
  }

  void count(const Status& status, int64_t micros, double predicted) {
    if (!status.ok()) {
      log_error(str_cat("batch of ", gathered.ids.size(), " tokens failed: ", message_of(status)));
    }
    if (!metrics) return;
    const double seconds = static_cast<double>(micros) * 1e-6;
    metrics->batches.add();
    if (!status.ok()) metrics->failures.add();
    metrics->tokens.add(static_cast<double>(gathered.ids.size()));
    metrics->pairs.add(static_cast<double>(gathered.offsets.size() - 1));
    metrics->seconds.observe(seconds);
    metrics->size.observe(static_cast<double>(gathered.ids.size()));
    metrics->size_pairs.observe(static_cast<double>(gathered.offsets.size() - 1));
    metrics->fill.observe(static_cast<double>(gathered.ids.size()) / max_batch_tokens);
    if (planned_tokens > gathered.ids.size()) {
      metrics->padding.add(static_cast<double>(planned_tokens - gathered.ids.size()));
    }
    if (predicted > 0) metrics->surprise.observe(seconds / predicted);
  }

  // Waits until a batch should begin. False: stopped, and nothing is left.
  bool await_work(std::unique_lock<std::mutex>& lock) {
    while (true) {
      const double now = seconds_of(Clock::now());
      const auto start = planner.start_time(now);
      if (start && (*start <= now || stopping)) return true;
      if (!start && stopping) return false;
      start ? (void)wake.wait_until(lock, time_of(*start)) : wake.wait(lock);
    }
  }

  void serve() {
    Finished finished;
    std::unique_lock lock(mutex);
    while (await_work(lock)) {
      const double predicted = prepare(Clock::now(), finished);
      lock.unlock();
      tell_beside(finished);
      const size_t sequences = gathered.offsets.size() - 1;
      Status status;
      int64_t micros = 0;
      if (sequences > 0) {
        const TimePoint begin = Clock::now();
        status = compute();
        micros = micros_between(begin, Clock::now());
        count(status, micros, predicted);
      }
      lock.lock();
      settle(status, micros, finished);
      lock.unlock();
      tell_beside(finished);
      lock.lock();
    }
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
      tell(finished);
      lock.lock();
    }
  }
};

Scheduler::Scheduler(Backend& backend, const PlannerOptions& options, Metrics* metrics,
                     std::span<const MeasuredBatch> measured, size_t model_layers)
    : state_(std::make_shared<State>(backend, options, metrics, model_layers)) {
  for (const MeasuredBatch& batch : measured) {
    double work = 0;
    for (uint32_t length : batch.lengths) work += state_->planner.cost().work(length);
    state_->planner.observe(work, batch.seconds);
  }
  state_->engine = std::thread([state = state_.get()] { state->serve(); });
  state_->watch = std::thread([state = state_.get()] { state->watch_deadlines(); });
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->engine.join();
  state_->teller.reset();
  {
    std::unique_lock lock(state_->mutex);
    state_->ended = true;
    state_->wake.wait(lock, [this] { return state_->telling == 0; });
  }
  state_->alarm.notify_all();
  state_->watch.join();
}

void Scheduler::submit(std::unique_ptr<Job> job) {
  const size_t sequences = job->offsets.size() - 1;
  std::vector<uint32_t> lengths(sequences);
  std::vector<Hash128> keys(job->share && job->keep == 0 ? sequences : 0);
  const auto step = static_cast<uint32_t>(state_->backend.info().length_step);
  for (size_t i = 0; i < sequences; ++i) lengths[i] = (job->offsets[i + 1] - job->offsets[i] + step - 1) / step * step;
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = sequence_key(*job, i);
  job->logits.assign(sequences, 0);
  job->depths.assign(sequences, 0);
  Status status;
  uint64_t id = 0;
  bool alarming = false;
  const std::shared_ptr<Cancellation> cancellation = job->cancellation;
  if (sequences > 0) {
    std::lock_guard lock(state_->mutex);
    const TimePoint now = Clock::now();
    id = state_->next_id++;
    Arrival arrival{id, lengths, keys, job->priority, std::nullopt};
    if (job->deadline) arrival.deadline = seconds_of(*job->deadline);
    status = state_->stopping ? absl::UnavailableError("stopping") : state_->planner.admit(arrival, seconds_of(now));
    if (status.ok()) {
      alarming = job->deadline && *job->deadline < state_->alarm_at;
      state_->running[id] = {std::move(job), now};
    } else if (state_->metrics) {
      (absl::IsResourceExhausted(status) ? state_->metrics->overloaded : state_->metrics->impossible).add();
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

double Scheduler::predicted_seconds(std::span<const uint32_t> lengths) const {
  std::lock_guard lock(state_->mutex);
  double work = 0;
  for (uint32_t length : lengths) work += state_->planner.cost().work(length);
  return state_->planner.cost().seconds(work);
}

}  // namespace rerank
