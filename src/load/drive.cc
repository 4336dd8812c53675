#include "load/drive.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace rerank::load {
namespace {

constexpr std::chrono::milliseconds kWatchEvery(100);

RequestOutcome outcome_of(const Answer& answer) {
  if (answer.status.ok()) return RequestOutcome::kAnswered;
  const int http = answer.http_status;
  if (http == 429 || http == 503 || http == 504) return RequestOutcome::kRefused;
  if (http != 0) return RequestOutcome::kFailed;
  const bool refused = absl::IsResourceExhausted(answer.status) || absl::IsDeadlineExceeded(answer.status);
  return refused ? RequestOutcome::kRefused : RequestOutcome::kFailed;
}

// What a run has found so far. Shared with the callbacks, which may come after the run has ended.
class Record {
 public:
  explicit Record(TimePoint start) : start_(start) {}

  // Seconds from the start of the run.
  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  size_t sent(double due, const RerankRequest& request) {
    std::lock_guard lock(mutex_);
    Sample sample;
    sample.due = due;
    sample.documents = static_cast<uint32_t>(request.documents.size());
    run_.samples.push_back(sample);
    return run_.samples.size() - 1;
  }

  void done(size_t place, const Answer& answer) {
    const double when = now();
    std::lock_guard lock(mutex_);
    Sample& sample = run_.samples[place];
    sample.done = when;
    sample.outcome = outcome_of(answer);
    sample.http_status = answer.http_status;
    sample.tokens = answer.tokens;
    if (sample.outcome == RequestOutcome::kAnswered) {
      for (const auto& [name, ms] : answer.stages) run_.stage_ms[name] += ms;
    }
    if (sample.outcome == RequestOutcome::kFailed && run_.first_error.ok()) run_.first_error = answer.status;
    ++done_;
    changed_.notify_all();
  }

  void report(const Watch& watch) {
    size_t sent, done;
    {
      std::lock_guard lock(mutex_);
      sent = run_.samples.size(), done = done_;
    }
    if (watch) watch(sent, done);
  }

  // Waits until all that was sent is done, or `until`.
  void wait(TimePoint until, const Watch& watch) {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        const auto all = [&] { return done_ == run_.samples.size(); };
        if (changed_.wait_for(lock, kWatchEvery, all) || Clock::now() >= until) return;
      }
      report(watch);
    }
  }

  LoadRun take() {
    std::lock_guard lock(mutex_);
    return run_;
  }

 private:
  const TimePoint start_;
  std::mutex mutex_;
  std::condition_variable changed_;
  LoadRun run_;
  size_t done_ = 0;
};

}  // namespace

LoadRun drive_open(Target& target, const Workload& workload, const OpenLoop& loop, const Watch& watch) {
  const std::vector<double>& due = loop.due;
  const TimePoint start = Clock::now();
  auto record = std::make_shared<Record>(start);
  TimePoint reported = start;
  const auto at = [&](double seconds) {
    return start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  };
  for (size_t i = 0; i < due.size(); ++i) {
    auto request = workload.request(loop.first + i);  // made before its time, so that making it does not delay it
    while (Clock::now() < at(due[i])) {
      std::this_thread::sleep_until(std::min(at(due[i]), Clock::now() + kWatchEvery));
      if (Clock::now() - reported > kWatchEvery) record->report(watch), reported = Clock::now();
    }
    const size_t place = record->sent(due[i], *request);
    target.submit(std::move(request), [record, place](const Answer& answer) { record->done(place, answer); });
  }
  const double end = due.empty() ? 0 : due.back();
  record->wait(at(end + loop.grace_seconds), watch);
  LoadRun run = record->take();
  run.seconds = end;
  return run;
}

LoadRun drive_closed(Target& target, const Workload& workload, const ClosedLoop& loop, const Watch& watch) {
  const TimePoint start = Clock::now();
  auto record = std::make_shared<Record>(start);
  std::atomic<uint64_t> number{loop.first};
  std::atomic<size_t> running{loop.clients};
  std::vector<std::thread> clients;
  for (size_t i = 0; i < loop.clients; ++i) {
    clients.emplace_back([&] {
      while (record->now() < loop.seconds) {
        auto request = workload.request(number++);
        const size_t place = record->sent(record->now(), *request);
        std::mutex mutex;
        std::condition_variable answered;
        bool done = false;
        target.submit(std::move(request), [&](const Answer& answer) {
          record->done(place, answer);
          std::lock_guard lock(mutex);  // notified under the lock: the waiter may end as soon as it is released
          done = true;
          answered.notify_one();
        });
        std::unique_lock lock(mutex);
        answered.wait(lock, [&] { return done; });
      }
      --running;
    });
  }
  while (running > 0) {
    std::this_thread::sleep_for(kWatchEvery);
    record->report(watch);
  }
  for (std::thread& client : clients) client.join();
  LoadRun run = record->take();
  run.clients = loop.clients;
  for (const Sample& sample : run.samples) run.seconds = std::max(run.seconds, sample.done);
  return run;
}

}  // namespace rerank::load
