// Batches of a scheduler: planned, gathered, computed and settled on the engine threads.
#include <algorithm>

#include "base/guarded.h"
#include "base/log.h"
#include "base/strings.h"
#include "schedule/scheduler_state.h"

namespace rerank::schedule {

void Scheduler::State::gather(BatchRun& run) {
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
void Scheduler::State::prepare(BatchRun& run, TimePoint now, Finished& finished, const BatchRun* outer) {
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
void Scheduler::State::settle(BatchRun& run, Finished& finished) {
  if (!run.empty()) {
    run.began = run.interruptible ? run.handed_over : std::max(run.handed_over, last_end);
    if (seat && !run.interruptible) run.began = std::clamp(seat->last_end(), run.began, std::max(run.began, run.ended));
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
void Scheduler::State::deliver(const BatchRun& run) {
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

Status Scheduler::State::compute(BatchRun& run) {
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

void Scheduler::State::count(const BatchRun& run) {
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
bool Scheduler::State::is_due(std::optional<double> start, double now) const {
  if (!start) return false;
  return *start <= now || stopping || (seat && seat->share() < 1 && backend.info().batches_in_flight > 1);
}

// Waits until a batch should begin. False: stopped, and nothing is left.
bool Scheduler::State::await_work(std::unique_lock<std::mutex>& lock) {
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
void Scheduler::State::take_turn(std::unique_lock<std::mutex>& lock) {
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
void Scheduler::State::pass_turn(const BatchRun& run) {
  if (!seat) return;
  const TimePoint now = Clock::now();
  seat->give_back(static_cast<double>(micros_between(turn_began, now)) * 1e-6, run.predicted);
  seat->take(run.predicted);
  turn_began = Clock::now();
}

// Under the lock. What waits is announced with it: else whoever asks a moment earlier would be next each time.
void Scheduler::State::give_turn_back(const BatchRun& run) {
  if (!seat) return;
  const double now = seconds_of(Clock::now());
  const bool due = is_due(planner.start_time(now), now);
  const double seconds =
      run.interruptible ? static_cast<double>(micros_between(turn_began, run.ended)) * 1e-6 : run.seconds();
  seat->give_back(seconds, due ? std::optional(planner.next_batch_seconds()) : std::nullopt);
}

void Scheduler::State::serve() {
  Finished finished;
  BatchRun run;
  std::unique_lock lock(mutex);
  while (await_work(lock)) {
    take_turn(lock);
    run_next(run, finished, lock);
  }
}

// Under the lock, which it releases meanwhile.
void Scheduler::State::run_next(BatchRun& run, Finished& finished, std::unique_lock<std::mutex>& lock,
                                const BatchRun* outer) {
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
void Scheduler::State::interrupt(BatchRun& outer) noexcept {
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

}  // namespace rerank::schedule
