#include "schedule/scheduler.h"

#include <algorithm>
#include <string_view>

#include "base/guarded.h"
#include "schedule/scheduler_state.h"

namespace rerank::schedule {
namespace {

// Fewer batches that fail may be the fault of what is in them; later than that one may have recovered.
constexpr size_t kFailuresOfAnEngine = 3;
constexpr std::chrono::seconds kFailureLasts(10);

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

void Scheduler::State::take(uint64_t id, const Status& status, Finished& finished) {
  auto found = running.find(id);
  if (found == running.end()) return;
  finished.emplace_back(std::move(found->second.job), status);
  running.erase(found);
}

void Scheduler::State::publish() {
  if (!metrics) return;
  metrics->queued.set(static_cast<double>(planner.queued_tokens()));
  metrics->requests.set(static_cast<double>(planner.waiting_requests()));
  metrics->held.set(static_cast<double>(planner.held_requests()));
  metrics->backlog.set(planner.backlog_seconds(seconds_of(Clock::now())));
}

void Scheduler::State::complete(Finished& finished) {
  for (auto& [job, status] : finished) {
    auto done = std::move(job->done);
    done(*job, std::move(status));
  }
  finished.clear();
}

// What an engine thread has finished. Where a device computes, the completion thread completes it while the next
// batch runs; elsewhere the same cores would do both.
void Scheduler::State::complete_concurrently(Finished& finished) {
  if (completion_thread == nullptr || finished.empty()) return complete(finished);
  pending_completions.acquire();
  completion_thread->post([this, moved = std::make_shared<Finished>(std::exchange(finished, {}))] {
    complete(*moved);
    pending_completions.release();
  });
}

void Scheduler::State::cancel(uint64_t id) {
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

void Scheduler::State::drop_late(const std::vector<uint64_t>& expired, size_t tokens, Finished& finished) {
  for (uint64_t id : expired) {
    take(id, absl::DeadlineExceededError("not done within the deadline: too much was waiting"), finished);
  }
  if (!metrics || expired.empty()) return;
  metrics->expired_requests.add(static_cast<double>(expired.size()));
  metrics->expired.add(static_cast<double>(tokens));
}

// Under the lock: drops what is too late by now.
void Scheduler::State::expire(TimePoint now, Finished& finished) {
  const size_t before = planner.queued_tokens();
  const auto expired = planner.expire(seconds_of(now));
  drop_late(expired, before - planner.queued_tokens(), finished);
  if (!expired.empty()) stop_unwanted();
}

// Under the lock: tells the engine of batches that nobody waits for. What it does not look at ends by itself.
void Scheduler::State::stop_unwanted() {
  for (BatchRun* run : in_flight) {
    const auto waits = [&](const PlannedPair& pair) { return running.contains(pair.request); };
    if (std::ranges::none_of(run->plan->pairs, waits) &&
        std::ranges::none_of(run->plan->shared, waits, &SharedResult::pair))
      run->stop = true;  // for good: a pair that joins it now is computed again
  }
}

void Scheduler::State::watch_deadlines() {
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
