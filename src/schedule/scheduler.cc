#include "schedule/scheduler.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/metrics.h"
#include "base/strings.h"

namespace rerank {
namespace {

double seconds_of(TimePoint t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }
int64_t micros_between(TimePoint a, TimePoint b) {
  return std::chrono::duration_cast<std::chrono::microseconds>(b - a).count();
}

struct ScheduleMetrics {
  explicit ScheduleMetrics(Metrics& m)
      : batches(m.counter("rerankd_batches_total", "Batches computed.")),
        failures(m.counter("rerankd_batch_failures_total", "Batches whose computation failed.")),
        tokens(m.counter("rerankd_batch_tokens_total", "Tokens computed.")),
        pairs(m.counter("rerankd_batch_pairs_total", "Pairs computed.")),
        saved(m.counter("rerankd_cancelled_tokens_total", "Tokens not computed because the client had gone.")),
        queued(m.gauge("rerankd_queue_tokens", "Tokens that wait for the engine.")),
        backlog(m.gauge("rerankd_queue_backlog_seconds", "Predicted time until all that waits is done.")),
        seconds(m.histogram("rerankd_batch_seconds", "Time of one batch in the engine.", latency_buckets_seconds())),
        size(m.histogram("rerankd_batch_size_tokens", "Tokens of one batch.",
                         {16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384})) {}
  Counter &batches, &failures, &tokens, &pairs, &saved;
  Gauge &queued, &backlog;
  Histogram &seconds, &size;
};

struct Running {
  std::unique_ptr<Job> job;
  size_t left = 0;  // sequences without a logit
  TimePoint arrived;
  bool begun = false;
};

// The sequences of a plan, end to end.
struct Gathered {
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets;
  std::vector<uint8_t> layers;

  void clear() {
    layers.clear();
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
};

}  // namespace

struct Scheduler::State {
  State(Backend& b, const PlannerOptions& options, Metrics* m) : backend(b), planner(options) {
    if (m != nullptr) metrics = std::make_unique<ScheduleMetrics>(*m);
  }

  Backend& backend;
  std::unique_ptr<ScheduleMetrics> metrics;
  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  Planner planner;  // guarded by mutex
  std::unordered_map<uint64_t, Running>
      running;  // guarded by mutex; the jobs' texts and logits belong to the engine thread
  uint64_t next_id = 0;
  Gathered gathered;          // engine thread only
  std::vector<float> logits;  // engine thread only
  std::thread thread;

  // Finished jobs, to be told outside the lock.
  using Finished = std::vector<std::pair<std::unique_ptr<Job>, Status>>;

  void take(uint64_t id, Status status, Finished& finished) {
    auto found = running.find(id);
    if (found == running.end()) return;
    finished.emplace_back(std::move(found->second.job), std::move(status));
    running.erase(found);
  }

  void drop_cancelled(Finished& finished) {
    std::vector<uint64_t> gone;
    for (const auto& [id, r] : running) {
      if (r.job->cancellation && r.job->cancellation->cancelled()) gone.push_back(id);
    }
    for (uint64_t id : gone) {
      const size_t saved = planner.cancel(id);
      if (metrics) metrics->saved.add(static_cast<double>(saved));
      take(id, absl::CancelledError("the client has gone"), finished);
    }
  }

  void publish() {
    if (!metrics) return;
    metrics->queued.set(static_cast<double>(planner.queued_tokens()));
    metrics->backlog.set(planner.backlog_seconds());
  }

  static void tell(Finished& finished) {
    for (auto& [job, status] : finished) {
      auto done = std::move(job->done);
      done(*job, std::move(status));
    }
    finished.clear();
  }

  // Under the lock: the next plan, its sequences copied out.
  Plan prepare(TimePoint now, Finished& finished) {
    drop_cancelled(finished);
    Plan plan = planner.next(seconds_of(now));
    for (uint64_t id : plan.expired) {
      take(id, absl::DeadlineExceededError("not done within the deadline: too much was waiting"), finished);
    }
    gathered.clear();
    for (const auto& pair : plan.pairs) {
      Running& r = running.at(pair.request);
      if (!r.begun) r.job->queue_us = micros_between(r.arrived, now);
      r.begun = true;
      gathered.add(*r.job, pair.pair);
    }
    publish();
    return plan;
  }

  // Under the lock: logits of a plan to their jobs.
  void settle(const Plan& plan, const Status& status, int64_t micros, Finished& finished) {
    planner.finished(plan, status.ok() ? static_cast<double>(micros) * 1e-6 : 0);
    std::unordered_map<uint64_t, bool> counted;
    for (size_t i = 0; i < plan.pairs.size(); ++i) {
      auto found = running.find(plan.pairs[i].request);
      if (found == running.end()) continue;  // failed with an earlier pair, or dropped
      Running& r = found->second;
      if (!std::exchange(counted[plan.pairs[i].request], true)) r.job->compute_us += micros;
      if (!status.ok()) {
        planner.cancel(plan.pairs[i].request);
        take(plan.pairs[i].request, status, finished);
        continue;
      }
      r.job->logits[plan.pairs[i].pair] = logits[i];
      if (--r.left == 0) take(plan.pairs[i].request, ok_status(), finished);
    }
  }

  void count(const Plan& plan, const Status& status, int64_t micros) {
    if (!metrics) return;
    metrics->batches.add();
    if (!status.ok()) metrics->failures.add();
    metrics->tokens.add(static_cast<double>(plan.tokens));
    metrics->pairs.add(static_cast<double>(plan.pairs.size()));
    metrics->seconds.observe(static_cast<double>(micros) * 1e-6);
    metrics->size.observe(static_cast<double>(plan.tokens));
  }

  void serve() {
    Finished finished;
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stopping || planner.waiting_requests() > 0; });
      if (planner.waiting_requests() == 0) return;
      Plan plan = prepare(Clock::now(), finished);
      lock.unlock();
      tell(finished);
      if (!plan.pairs.empty()) {
        logits.assign(plan.pairs.size(), 0);
        const TimePoint begin = Clock::now();
        const Status status =
            backend.forward({gathered.ids, gathered.segments, gathered.offsets, gathered.layers}, logits);
        const int64_t micros = micros_between(begin, Clock::now());
        if (!status.ok()) log_error(str_cat("batch of ", plan.tokens, " tokens failed: ", message_of(status)));
        count(plan, status, micros);
        lock.lock();
        settle(plan, status, micros, finished);
        lock.unlock();
        tell(finished);
      }
      lock.lock();
    }
  }
};

Scheduler::Scheduler(Backend& backend, const PlannerOptions& options, Metrics* metrics)
    : state_(std::make_unique<State>(backend, options, metrics)) {
  state_->thread = std::thread([this] { state_->serve(); });
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

void Scheduler::submit(std::unique_ptr<Job> job) {
  const TimePoint now = Clock::now();
  const size_t sequences = job->offsets.size() - 1;
  std::vector<uint32_t> lengths(sequences);
  for (size_t i = 0; i < sequences; ++i) lengths[i] = job->offsets[i + 1] - job->offsets[i];
  job->logits.assign(sequences, 0);
  Status status;
  if (sequences == 0) {
    auto done = std::move(job->done);
    done(*job, ok_status());
    return;
  }
  {
    std::lock_guard lock(state_->mutex);
    const uint64_t id = state_->next_id++;
    std::optional<double> deadline;
    if (job->deadline) deadline = seconds_of(*job->deadline);
    if (state_->stopping) {
      status = absl::UnavailableError("stopping");
    } else {
      status = state_->planner.admit(id, lengths, seconds_of(now), job->priority, deadline);
    }
    if (status.ok()) {
      state_->running[id] = {std::move(job), sequences, now};
      state_->publish();
    }
  }
  if (status.ok()) {
    state_->wake.notify_one();
    return;
  }
  auto done = std::move(job->done);
  done(*job, std::move(status));
}

double Scheduler::backlog_seconds() const {
  std::lock_guard lock(state_->mutex);
  return state_->planner.backlog_seconds();
}

}  // namespace rerank
