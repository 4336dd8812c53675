// The shell over a backend that fails, stalls or answers.
#include "schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>
#include <semaphore>
#include <thread>

#include "base/metrics.h"

namespace rerank::schedule {
namespace {

// Logit of a sequence: the sum of its ids. Can be held back, and can fail: the next batch, or that of an id.
class FakeBackend : public engine::Backend {
 public:
  const engine::BackendInfo& info() const override { return information; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    ++entered;
    for (int part = 1; part < 3; ++part) batch.interrupt();
    if (batch.stopped()) return absl::CancelledError("stopped");
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return open_; });
    ++batches;
    const bool cursed = std::find(batch.ids.begin(), batch.ids.end(), curse.load()) != batch.ids.end();
    if (throw_next.exchange(false)) throw std::bad_alloc();
    if (fail_next.exchange(false) || cursed) return absl::InternalError("broken on purpose");
    for (size_t i = 0; i < batch.size(); ++i) {
      logits[i] = static_cast<float>(
          std::accumulate(batch.ids.begin() + batch.offsets[i], batch.ids.begin() + batch.offsets[i + 1], 0));
    }
    return ok_status();
  }
  void set_open(bool open) {
    std::lock_guard lock(mutex_);
    open_ = open;
    wake_.notify_all();
  }
  std::atomic<int> batches{0}, entered{0};
  std::atomic<bool> fail_next{false}, throw_next{false};
  std::atomic<int32_t> curse{-1};
  engine::BackendInfo information;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool open_ = true;
};

struct Outcome {
  std::promise<std::pair<Status, std::vector<float>>> promise;
  std::future<std::pair<Status, std::vector<float>>> future = promise.get_future();
};

std::unique_ptr<Job> make_job(const std::vector<std::vector<int32_t>>& sequences, std::shared_ptr<Outcome> outcome) {
  auto job = std::make_unique<Job>();
  for (const auto& s : sequences) job->pairs.add(s);
  job->done = [outcome](Job& j, Status status) { outcome->promise.set_value({status, j.logits}); };
  return job;
}

TEST(SchedulerTest, RequestsThatWaitTogetherShareABatch) {
  FakeBackend backend;
  backend.set_open(false);
  Scheduler scheduler(backend, {}, nullptr);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 10; ++i) {
    outcomes.push_back(std::make_shared<Outcome>());
    scheduler.submit(make_job({{i, i}, {100, i, 1}}, outcomes.back()));
  }
  backend.set_open(true);
  for (int i = 0; i < 10; ++i) {
    auto [status, logits] = outcomes[i]->future.get();
    EXPECT_TRUE(status.ok());
    EXPECT_THAT(logits, ::testing::ElementsAre(2.f * i, 101.f + i));
  }
  EXPECT_LE(backend.batches, 2);
}

TEST(SchedulerTest, AFailedBatchFailsItsRequestsOnly) {
  FakeBackend backend;
  Scheduler scheduler(backend, {}, nullptr);
  backend.fail_next = true;
  auto first = std::make_shared<Outcome>(), second = std::make_shared<Outcome>(), empty = std::make_shared<Outcome>();
  scheduler.submit(make_job({{1}}, first));
  EXPECT_EQ(first->future.get().first.code(), absl::StatusCode::kInternal);
  scheduler.submit(make_job({{1}}, second));
  EXPECT_TRUE(second->future.get().first.ok());
  scheduler.submit(make_job({}, empty));
  EXPECT_TRUE(empty->future.get().first.ok());
}

TEST(SchedulerTest, AnEngineThatFailsAgainAndAgainIsNotReady) {
  FakeBackend backend;
  Scheduler scheduler(backend, {}, nullptr);
  const auto compute = [&](bool fails) {
    backend.fail_next = fails;
    auto outcome = std::make_shared<Outcome>();
    scheduler.submit(make_job({{1}}, outcome));
    EXPECT_EQ(outcome->future.get().first.ok(), !fails);
  };
  for (int i = 0; i < 2; ++i) compute(true);
  EXPECT_FALSE(scheduler.engine_fails());  // it may have been what was in them
  compute(true);
  EXPECT_TRUE(scheduler.engine_fails());
  EXPECT_FALSE(scheduler.engine_fails(Clock::now() + std::chrono::seconds(11)));  // a request may try
  compute(true);
  EXPECT_TRUE(scheduler.engine_fails());
  compute(false);
  EXPECT_FALSE(scheduler.engine_fails());
}

TEST(SchedulerTest, WhatABackendThrowsFailsItsBatchOnly) {
  FakeBackend backend;
  Scheduler scheduler(backend, {}, nullptr);
  backend.throw_next = true;
  for (const auto code : {absl::StatusCode::kUnavailable, absl::StatusCode::kOk}) {
    auto outcome = std::make_shared<Outcome>();
    scheduler.submit(make_job({{1, 2}}, outcome));
    EXPECT_EQ(outcome->future.get().first.code(), code);
  }
}

TEST(SchedulerTest, ACancelledJobIsNotComputed) {
  FakeBackend backend;
  backend.set_open(false);
  Scheduler scheduler(backend, {}, nullptr);
  auto first = std::make_shared<Outcome>(), gone = std::make_shared<Outcome>(), late = std::make_shared<Outcome>();
  scheduler.submit(make_job({{1}}, first));
  auto job = make_job({{2}}, gone);
  job->cancellation = std::make_shared<Cancellation>();
  auto cancellation = job->cancellation;
  scheduler.submit(std::move(job));
  cancellation->cancel();
  scheduler.submit(make_job({{3}}, late));
  backend.set_open(true);
  EXPECT_EQ(gone->future.get().first.code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(first->future.get().first.ok());
  EXPECT_TRUE(late->future.get().first.ok());
}

TEST(SchedulerTest, ACancelledJobIsAnsweredWhileABatchRuns) {
  FakeBackend backend;
  backend.set_open(false);
  Metrics metrics;
  Scheduler scheduler(backend, {.max_batch_tokens = 1}, &metrics);
  auto first = std::make_shared<Outcome>(), gone = std::make_shared<Outcome>();
  scheduler.submit(make_job({{1}}, first));
  while (backend.entered == 0) std::this_thread::yield();
  auto job = make_job({{2, 2, 2}, {3}}, gone);
  job->cancellation = std::make_shared<Cancellation>();
  auto cancellation = job->cancellation;
  scheduler.submit(std::move(job));
  cancellation->cancel();
  EXPECT_EQ(gone->future.get().first.code(), absl::StatusCode::kCancelled);  // the batch is still held
  EXPECT_EQ(metrics.counter("rerankd_cancelled_tokens_total", "").value(), 4);
  backend.set_open(true);
  EXPECT_TRUE(first->future.get().first.ok());
}

TEST(SchedulerTest, ALateJobIsAnsweredWhileABatchRuns) {
  FakeBackend backend;
  backend.set_open(false);
  Metrics metrics;
  Scheduler scheduler(backend, {.max_batch_tokens = 1}, &metrics);
  auto first = std::make_shared<Outcome>(), late = std::make_shared<Outcome>();
  scheduler.submit(make_job({{1}}, first));
  while (backend.entered == 0) std::this_thread::yield();
  auto job = make_job({{2}}, late);
  job->deadline = Clock::now() + std::chrono::milliseconds(20);
  scheduler.submit(std::move(job));
  EXPECT_EQ(late->future.get().first.code(), absl::StatusCode::kDeadlineExceeded);  // the batch is still held
  EXPECT_EQ(metrics.counter("rerankd_expired_tokens_total", "").value(), 1);
  backend.set_open(true);
  EXPECT_TRUE(first->future.get().first.ok());
}

// Computes until it is told that nobody waits, as a decoder of a very long document would.
class PatientBackend : public engine::Backend {
 public:
  const engine::BackendInfo& info() const override { return information; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    if (batch.ids[0] != 7) {
      logits[0] = 1;
      return ok_status();
    }
    ++entered;
    while (!batch.stopped()) std::this_thread::yield();
    return absl::CancelledError("stopped");
  }
  std::atomic<int> entered{0};
  engine::BackendInfo information;
};

TEST(SchedulerTest, ABatchThatNobodyWaitsForIsStopped) {
  PatientBackend backend;
  Metrics metrics;
  Scheduler scheduler(backend, {}, &metrics);
  auto outcome = std::make_shared<Outcome>(), next = std::make_shared<Outcome>();
  auto job = make_job({{7, 1}}, outcome);
  const auto cancellation = job->cancellation = std::make_shared<Cancellation>();
  scheduler.submit(std::move(job));
  while (backend.entered == 0) std::this_thread::yield();
  cancellation->cancel();
  EXPECT_EQ(outcome->future.get().first.code(), absl::StatusCode::kCancelled);
  scheduler.submit(make_job({{1}}, next));
  EXPECT_TRUE(next->future.get().first.ok());
  EXPECT_FALSE(scheduler.engine_fails());
  EXPECT_THAT(metrics.to_text(), ::testing::HasSubstr("rerankd_batch_failures_total 0"));
}

TEST(SchedulerTest, ALongBatchEndsAtItsDeadline) {
  PatientBackend backend;
  // The pair takes longer than a batch may.
  const std::vector<MeasuredBatch> measured(3, MeasuredBatch{{10}, 1.5});
  Scheduler scheduler(backend, {.prediction_margin = 0}, nullptr, measured);
  auto outcome = std::make_shared<Outcome>();
  auto job = make_job({{7, 1}}, outcome);
  job->deadline = Clock::now() + std::chrono::milliseconds(340);
  scheduler.submit(std::move(job));
  EXPECT_EQ(outcome->future.get().first.code(), absl::StatusCode::kDeadlineExceeded);
}

// Computes what it may be interrupted in, in four parts: before each but the first it waits for the test, and then
// lets others go.
class InterruptibleBackend : public FakeBackend {
 public:
  InterruptibleBackend() { information.interruptible = true; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    for (int part = 1; batch.between != nullptr && part < kParts; ++part) {
      waiting = part;
      go_on.acquire();
      batch.interrupt();
      if (batch.stopped()) return absl::CancelledError("stopped");
    }
    return FakeBackend::forward(batch, logits);
  }
  void await(int part) const {
    while (waiting != part) std::this_thread::yield();
  }
  static constexpr int kParts = 4;
  std::atomic<int> waiting{0};
  std::counting_semaphore<kParts> go_on{0};
};

class InterruptionTest : public ::testing::Test {
 protected:
  using Answer = std::shared_ptr<Outcome>;

  // A pair of a second.
  Answer submit_long(std::shared_ptr<Cancellation> cancellation = nullptr) {
    auto outcome = std::make_shared<Outcome>();
    auto job = make_job({std::vector<int32_t>(1000, 1)}, outcome);
    job->cancellation = std::move(cancellation);
    scheduler_.submit(std::move(job));
    backend_.await(1);
    return outcome;
  }
  static Answer submit_short(Scheduler& scheduler, int32_t id) {
    auto outcome = std::make_shared<Outcome>();
    scheduler.submit(make_job({{id}, {id, id}}, outcome));
    return outcome;
  }
  static bool is_answered(const Answer& answer) {
    return answer->future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  const std::vector<MeasuredBatch> measured_ = std::vector<MeasuredBatch>(3, MeasuredBatch{{1000}, 1.0});
  const std::shared_ptr<Turns> turns_ = Turns::make();
  Metrics metrics_;
  InterruptibleBackend backend_;
  Scheduler scheduler_{backend_, {}, &metrics_, measured_, 0, turns_->join(1)};
};

TEST_F(InterruptionTest, AShortJobIsAnsweredInTheMidstOfALongOne) {
  const Answer longer = submit_long();
  const Answer first = submit_short(scheduler_, 5);
  backend_.go_on.release();
  EXPECT_THAT(first->future.get().second, ::testing::ElementsAre(5, 10));
  backend_.await(2);
  const Answer second = submit_short(scheduler_, 6);
  backend_.go_on.release();
  EXPECT_THAT(second->future.get().second, ::testing::ElementsAre(6, 12));
  EXPECT_FALSE(is_answered(longer));
  backend_.go_on.release();
  const auto [status, logits] = longer->future.get();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(logits, ::testing::ElementsAre(1000));
  EXPECT_EQ(metrics_.counter("rerankd_interrupting_batches_total", "").value(), 2);
}

TEST_F(InterruptionTest, AFailureInTheMidstIsTheShortJobsAlone) {
  const Answer longer = submit_long();
  backend_.curse = 5;
  const Answer cursed = submit_short(scheduler_, 5);
  backend_.go_on.release(InterruptibleBackend::kParts);
  EXPECT_EQ(cursed->future.get().first.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(longer->future.get().first.ok());
}

TEST_F(InterruptionTest, ALongJobThatNobodyWaitsForEndsAfterWhatInterruptsIt) {
  const auto cancellation = std::make_shared<Cancellation>();
  const Answer longer = submit_long(cancellation);
  backend_.set_open(false);
  const Answer shorter = submit_short(scheduler_, 5);
  backend_.go_on.release();
  while (backend_.entered == 0) std::this_thread::yield();
  cancellation->cancel();
  EXPECT_EQ(longer->future.get().first.code(), absl::StatusCode::kCancelled) << "at once";
  backend_.set_open(true);
  EXPECT_TRUE(shorter->future.get().first.ok());
  EXPECT_TRUE(submit_short(scheduler_, 7)->future.get().first.ok());
  EXPECT_EQ(backend_.batches, 2) << "the long one was not computed to its end";
}

TEST_F(InterruptionTest, OtherModelsHaveTheirTurnInTheMidst) {
  FakeBackend other;
  Scheduler neighbour(other, {}, nullptr, {}, 0, turns_->join(1));
  const Answer longer = submit_long();
  const Answer shorter = submit_short(neighbour, 5);
  for (int part = 2; part < InterruptibleBackend::kParts; ++part) {
    backend_.go_on.release();
    backend_.await(part);
  }
  EXPECT_THAT(shorter->future.get().second, ::testing::ElementsAre(5, 10));
  EXPECT_FALSE(is_answered(longer));
  backend_.go_on.release();
  EXPECT_TRUE(longer->future.get().first.ok());
}

TEST(SchedulerTest, EqualSequencesAreComputedOnce) {
  FakeBackend backend;
  backend.set_open(false);
  Metrics metrics;
  Scheduler scheduler(backend, {.max_batch_tokens = 4}, &metrics);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (int i = 0; i < 5; ++i) {
    outcomes.push_back(std::make_shared<Outcome>());
    scheduler.submit(make_job({{1, 2}, {3, 4}, {1, 2}}, outcomes.back()));
  }
  auto alone = make_job({{1, 2}}, std::make_shared<Outcome>());
  alone->share = false;
  scheduler.submit(std::move(alone));
  backend.set_open(true);
  for (auto& outcome : outcomes) {
    auto [status, logits] = outcome->future.get();
    EXPECT_TRUE(status.ok());
    EXPECT_THAT(logits, ::testing::ElementsAre(3, 7, 3));
  }
  EXPECT_EQ(metrics.counter("rerankd_joined_pairs_total", "").value(), 13);
}

// Where the engine runs on a device: the answer that waits for the next batch would wait for ever on the engine's
// thread.
TEST(SchedulerTest, ADeviceComputesWhileRequestsAreCompleted) {
  FakeBackend backend;
  backend.information.offloads = true;
  Scheduler scheduler(backend, {.max_batch_tokens = 1}, nullptr);
  auto first = std::make_shared<Outcome>(), second = std::make_shared<Outcome>();
  auto job = make_job({{1}}, first);
  job->done = [&backend, done = std::move(job->done)](Job& j, Status status) {
    while (backend.batches < 2) std::this_thread::yield();
    done(j, std::move(status));
  };
  scheduler.submit(std::move(job));
  scheduler.submit(make_job({{2}}, second));
  EXPECT_TRUE(first->future.get().first.ok());
  EXPECT_TRUE(second->future.get().first.ok());
}

// A device that takes two batches of one token at once, and is held.
struct TwoInFlightTest : public ::testing::Test {
  TwoInFlightTest() {
    backend.information.offloads = true;
    backend.information.batches_in_flight = 2;
    backend.set_open(false);
    scheduler.emplace(backend, PlannerOptions{.max_batch_tokens = 1}, &metrics);
  }
  std::shared_ptr<Outcome> submit(const std::vector<std::vector<int32_t>>& sequences,
                                  std::shared_ptr<Cancellation> cancellation = nullptr) {
    auto outcome = std::make_shared<Outcome>();
    auto job = make_job(sequences, outcome);
    job->cancellation = std::move(cancellation);
    scheduler->submit(std::move(job));
    return outcome;
  }
  void await_entered(int batches) const {
    while (backend.entered < batches) std::this_thread::yield();
  }

  FakeBackend backend;
  Metrics metrics;
  std::optional<Scheduler> scheduler;
};

TEST_F(TwoInFlightTest, TheSecondIsHandedOverWhileTheFirstRuns) {
  const auto first = submit({{1}}), second = submit({{2}}), third = submit({{3}});
  await_entered(2);
  backend.set_open(true);
  for (const auto& outcome : {first, second, third}) EXPECT_TRUE(outcome->future.get().first.ok());
  scheduler.reset();
  EXPECT_EQ(backend.entered, 3);
  EXPECT_GE(metrics.counter("rerankd_overlapped_batches_total", "").value(), 1);
}

TEST_F(TwoInFlightTest, ARequestMayBeInBothAndLeaveBoth) {
  const auto gone = std::make_shared<Cancellation>();
  const auto stays = submit({{5}, {6}});
  await_entered(2);
  const auto joins = submit({{6}, {5}, {7}}), leaves = submit({{5}, {8}}, gone);
  gone->cancel();
  EXPECT_EQ(leaves->future.get().first.code(), absl::StatusCode::kCancelled);  // both are still held
  backend.set_open(true);
  EXPECT_THAT(stays->future.get().second, ::testing::ElementsAre(5, 6));
  EXPECT_THAT(joins->future.get().second, ::testing::ElementsAre(6, 5, 7));
  scheduler.reset();
  EXPECT_EQ(backend.batches, 3);
}

TEST_F(TwoInFlightTest, AFailureOfOneLeavesTheOther) {
  const auto fails = submit({{5}, {7}}), stays = submit({{6}});
  await_entered(2);
  const auto shares = submit({{5}, {6}});
  backend.curse = 5;
  backend.set_open(true);
  EXPECT_EQ(fails->future.get().first.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(stays->future.get().first.ok());
  EXPECT_EQ(shares->future.get().first.code(), absl::StatusCode::kInternal);  // at its own turn
  backend.curse = -1;
  EXPECT_THAT(submit({{5}, {6}})->future.get().second, ::testing::ElementsAre(5, 6));
}

struct Kind {
  const char* name;
  bool offloads;
  size_t batches_in_flight;
  bool interruptible = false;
};

class AllJobsTest : public ::testing::TestWithParam<Kind> {
 protected:
  AllJobsTest() {
    backend.information.offloads = GetParam().offloads;
    backend.information.batches_in_flight = GetParam().batches_in_flight;
    backend.information.interruptible = GetParam().interruptible;
    if (GetParam().interruptible) options.max_batch_seconds = 0;  // every batch is
  }
  PlannerOptions options{.max_batch_tokens = 16};
  FakeBackend backend;
};
INSTANTIATE_TEST_SUITE_P(Engines, AllJobsTest,
                         ::testing::Values(Kind{"computes_here", false, 1}, Kind{"offloads", true, 1},
                                           Kind{"two_in_flight", true, 2}, Kind{"interruptible", false, 1, true}),
                         [](const auto& info) { return info.param.name; });

// Many threads, jobs that share, fail, expire and are cancelled: each is answered once, and rightly.
TEST_P(AllJobsTest, AreAnsweredOnce) {
  std::atomic<int> answered{0}, wrong{0};
  constexpr int kThreads = 4, kJobs = 300;
  {
    Scheduler scheduler(backend, options, nullptr);
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        for (int i = 0; i < kJobs; ++i) {
          auto job = std::make_unique<Job>();
          for (int s = 0; s < 1 + i % 3; ++s) {
            std::vector<int32_t> ids{(i + s) % 7, t % 2};
            if (i % 4 == 0) ids.resize(60);
            job->pairs.add(ids);
          }
          auto cancellation = std::make_shared<Cancellation>();
          job->cancellation = cancellation;
          if (i % 11 == 0) job->deadline = Clock::now() + std::chrono::microseconds(200);
          if (i % 17 == 0) backend.fail_next = true;
          job->done = [&](Job& j, const Status& status) {
            ++answered;
            for (size_t s = 0; status.ok() && s < j.logits.size(); ++s) {
              const size_t begin = j.pairs.offsets[s];
              wrong += j.logits[s] != static_cast<float>(j.pairs.ids[begin] + j.pairs.ids[begin + 1]);
            }
          };
          scheduler.submit(std::move(job));
          if (i % 5 == 0) cancellation->cancel();
        }
      });
    }
    for (auto& client : clients) client.join();
  }
  EXPECT_EQ(answered, kThreads * kJobs);
  EXPECT_EQ(wrong, 0);
}

TEST_P(AllJobsTest, AreFinishedWhenItStops) {
  std::vector<std::shared_ptr<Outcome>> outcomes;
  {
    options.max_batch_tokens = 2;
    Scheduler scheduler(backend, options, nullptr);
    for (int i = 0; i < 50; ++i) {
      outcomes.push_back(std::make_shared<Outcome>());
      scheduler.submit(make_job({{i}, {i}, {i}}, outcomes.back()));
    }
  }
  for (auto& outcome : outcomes) EXPECT_TRUE(outcome->future.get().first.ok());
}

// Logit: the first token id. Competitors below the floor, or out of the first `keep`, leave after one layer of four.
struct ContestBackend : public engine::Backend {
  engine::BackendInfo information;
  std::vector<engine::Contest> seen;
  const engine::BackendInfo& info() const override { return information; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    for (size_t i = 0; i < batch.size(); ++i) logits[i] = static_cast<float>(batch.ids[batch.offsets[i]]);
    return ok_status();
  }
  Status forward_contests(const engine::Batch& batch, std::span<const engine::Contest> contests,
                          std::span<float> logits, std::span<uint8_t> depths) override {
    for (const engine::Contest& c : contests) {
      seen.push_back(c);
      for (uint32_t s = c.first; s < c.first + c.size; ++s) {
        if (static_cast<float>(batch.ids[batch.offsets[s]]) < c.floor) depths[s] = 1;
      }
    }
    return forward(batch, logits);
  }
};

TEST(SchedulerTest, ALaterBatchOfAContestKnowsWhatTheFirstHasReached) {
  ContestBackend backend;
  Metrics metrics;
  Scheduler scheduler(backend, {.max_batch_tokens = 30}, &metrics, {}, 4);
  auto job = std::make_unique<Job>();
  for (int32_t id : {5, 9, 7, 3, 8, 6}) {  // three fit a batch
    job->pairs.add(std::vector<int32_t>(10, id));
  }
  job->keep = 2;
  job->margin = 1;
  job->known = {4.0f};
  std::promise<std::vector<uint8_t>> promise;
  job->done = [&](Job& done, Status status) {
    EXPECT_TRUE(status.ok()) << status;
    promise.set_value(done.depths);
  };
  scheduler.submit(std::move(job));
  const auto depths = promise.get_future().get();
  EXPECT_THAT(depths, ::testing::ElementsAre(0, 0, 0, 1, 0, 1));
  ASSERT_EQ(backend.seen.size(), 2u);
  EXPECT_EQ(backend.seen[0].floor, engine::Contest().floor);  // one is known, two are wanted
  EXPECT_EQ(backend.seen[1].floor, 7);
  EXPECT_EQ(backend.seen[1].size, 3u);
}

// Two models on one device, which takes two batches at a time and computes one. Whose turn it is: TurnsTest.
TEST(SchedulerTest, ModelsOnOneDeviceTakeTurns) {
  constexpr int kRequests = 60;
  struct Device {
    std::mutex computing;
    std::atomic<int> taken{0}, most{0};
  } device;
  class Model : public engine::Backend {
   public:
    explicit Model(Device& device) : device_(device) {
      information.offloads = true;
      information.batches_in_flight = 2;
    }
    const engine::BackendInfo& info() const override { return information; }
    Status forward(const engine::Batch&, std::span<float> logits) override {
      device_.most = std::max(device_.most.load(), ++device_.taken);
      {
        const std::lock_guard lock(device_.computing);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      --device_.taken;
      std::fill(logits.begin(), logits.end(), 1.f);
      return ok_status();
    }
    engine::BackendInfo information;

   private:
    Device& device_;
  };
  Model heavy(device), light(device);
  const auto turns = Turns::make(2);
  PlannerOptions options;
  options.max_batch_tokens = 4;  // a batch each
  std::atomic<int> answered{0};
  {
    Scheduler first(heavy, options, nullptr, {}, 0, turns->join(3));
    Scheduler other(light, options, nullptr, {}, 0, turns->join(1));
    for (int i = 0; i < 2 * kRequests; ++i) {
      auto job = std::make_unique<Job>();
      job->pairs.add(std::vector<int32_t>{i, 1, 2, 3});
      job->done = [&](Job&, const Status& status) {
        EXPECT_TRUE(status.ok()) << status;
        ++answered;
      };
      (i % 2 == 0 ? first : other).submit(std::move(job));
    }
  }
  EXPECT_EQ(answered, 2 * kRequests);
  EXPECT_LE(device.most, 2) << "no more than it takes";
}

}  // namespace
}  // namespace rerank::schedule
