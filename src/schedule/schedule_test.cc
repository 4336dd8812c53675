// The planner by hand, with a hand-wound clock; the shell over a backend that fails, stalls or answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/metrics.h"

#include "schedule/scheduler.h"

namespace rerank {
namespace {

std::vector<uint64_t> requests_of(const Plan& plan) {
  std::vector<uint64_t> ids;
  for (const auto& p : plan.pairs) ids.push_back(p.request);
  return ids;
}

// A planner and short words for what is done to it.
struct Queue {
  explicit Queue(const PlannerOptions& options) : planner(options) {}

  Status add(uint64_t request, size_t pairs, uint32_t length, double now, std::optional<double> deadline = {},
             int priority = 0) {
    const std::vector<uint32_t> lengths(pairs, length);
    return planner.admit({request, lengths, {}, priority, deadline}, now);
  }
  // Pairs known by numbers: equal ones are the same pair.
  Status add_known(uint64_t request, const std::vector<uint64_t>& names, double now,
                   std::optional<double> deadline = {}) {
    const std::vector<uint32_t> lengths(names.size(), 10);
    std::vector<Hash128> keys;
    for (uint64_t name : names) keys.push_back({name, 1});
    return planner.admit({request, lengths, keys, 0, deadline}, now);
  }
  // From now on the planner believes in this speed.
  void learn(double seconds_per_token) {
    for (double work : {10.0, 100.0, 1000.0}) planner.observe(work, work * seconds_per_token);
  }
  std::vector<uint64_t> run(double now, double seconds = 0) {
    const auto ids = requests_of(planner.next(now));
    last = planner.finished(seconds, true);
    return ids;
  }

  Planner planner;
  Outcome last;
};

TEST(PlannerTest, FillsTheBudgetAcrossRequestsInOrder) {
  Queue queue({.max_batch_tokens = 100});
  ASSERT_TRUE(queue.add(1, 3, 30, 0).ok());
  ASSERT_TRUE(queue.add(2, 2, 10, 0.001).ok());
  const Plan& plan = queue.planner.next(0.002);
  EXPECT_THAT(requests_of(plan), ::testing::ElementsAre(1, 1, 1, 2));
  EXPECT_EQ(plan.tokens, 100u);
  EXPECT_THAT(queue.planner.finished(0.01, true).completed, ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(0.02), ::testing::ElementsAre(2));
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(2));
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
  EXPECT_TRUE(queue.planner.next(0.03).pairs.empty());
}

TEST(PlannerTest, APairLongerThanTheBudgetGoesAlone) {
  Planner planner({.max_batch_tokens = 100});
  ASSERT_TRUE(planner.admit({1, std::vector<uint32_t>{500, 10}}, 0).ok());
  EXPECT_EQ(planner.next(0).pairs.size(), 1u);
  planner.finished(1, true);
  EXPECT_EQ(planner.next(0).pairs.size(), 1u);
}

TEST(PlannerTest, ASmallRequestOvertakesALargeOneButNotForEver) {
  Queue queue({.max_batch_tokens = 1000, .max_batch_seconds = 10, .max_queue_seconds = 0});
  queue.learn(0.001);
  ASSERT_TRUE(queue.add(1, 1000, 100, 10).ok());  // 100 s of work: place 10 + 200
  ASSERT_TRUE(queue.add(2, 5, 100, 10.1).ok());   // 0.5 s of work: place 11.1
  ASSERT_TRUE(queue.add(3, 5, 100, 209.5).ok());  // place 210.5: behind the large one
  EXPECT_EQ(queue.run(209.6).front(), 2u);
  EXPECT_EQ(queue.run(209.7).front(), 1u);
}

TEST(PlannerTest, PriorityGoesFirst) {
  Queue queue({.max_batch_tokens = 50});
  ASSERT_TRUE(queue.add(1, 4, 50, 0).ok());
  ASSERT_TRUE(queue.add(2, 1, 50, 5, {}, 1).ok());
  EXPECT_EQ(queue.run(6).front(), 2u);
}

TEST(PlannerTest, RefusesWhatDoesNotFitAndWhatCannotBeDoneInTime) {
  Queue queue({.max_batch_tokens = 1000, .max_queued_tokens = 1000});
  queue.learn(0.001);
  ASSERT_TRUE(queue.add(1, 10, 100, 0).ok());
  const Status full = queue.add(2, 1, 1, 0);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(retry_after_seconds(full), 1);
  EXPECT_EQ(queue.planner.check(1, 0, {}, 0).code(), absl::StatusCode::kResourceExhausted);
  while (!queue.run(1).empty()) {
  }
  EXPECT_EQ(queue.add(3, 10, 100, 2, 2.5).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(queue.planner.check(1, 0, 2.5, 2).ok());
  EXPECT_TRUE(queue.add(4, 2, 100, 2, 2.5).ok());
  // It waited too long: dropped when its turn comes, not computed.
  const Plan& plan = queue.planner.next(2.45);
  EXPECT_TRUE(plan.pairs.empty());
  EXPECT_THAT(plan.expired, ::testing::ElementsAre(4));
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
}

TEST(PlannerTest, ExpiresWhatWaitsButNotWhatRuns) {
  Queue queue({.max_batch_tokens = 100});
  ASSERT_TRUE(queue.add(1, 1, 100, 0, 1.0).ok());
  ASSERT_TRUE(queue.add(2, 2, 100, 0, 2.0).ok());
  EXPECT_EQ(queue.planner.next_deadline(), 1.0);
  (void)queue.planner.next(0);  // takes request 1
  EXPECT_EQ(queue.planner.next_deadline(), 2.0);
  EXPECT_THAT(queue.planner.expire(1.5), ::testing::IsEmpty());
  EXPECT_THAT(queue.planner.expire(2.0), ::testing::ElementsAre(2));
  EXPECT_THAT(queue.planner.finished(2, true).completed, ::testing::ElementsAre(1));
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
}

TEST(PlannerTest, NobodyIsPassedWhoWouldMissHisDeadline) {
  Queue queue({.max_batch_tokens = 100, .max_batch_seconds = 10});
  queue.learn(0.01);
  ASSERT_TRUE(queue.add(1, 4, 100, 0, 4.5).ok());                                        // 4 s of work
  ASSERT_TRUE(queue.add(2, 1, 100, 0, {}, 5).ok());                                      // urgent, but 1 s
  EXPECT_EQ(queue.add(3, 1, 100, 0, 2.0).code(), absl::StatusCode::kResourceExhausted);  // would need to pass
  EXPECT_THAT(queue.run(0.0, 1.0), ::testing::ElementsAre(1));
  for (double now : {1.0, 2.0, 3.0}) EXPECT_THAT(queue.run(now, 1.0), ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(4.0), ::testing::ElementsAre(2));
}

TEST(PlannerTest, ADeadlineMovesAheadOfWorkThatCanWait) {
  Queue queue({.max_batch_tokens = 100, .max_batch_seconds = 10, .max_queue_seconds = 60});
  queue.learn(0.01);
  for (uint64_t id = 1; id <= 10; ++id) ASSERT_TRUE(queue.add(id, 1, 100, 0).ok());
  ASSERT_TRUE(queue.add(11, 1, 100, 0.1, 3.0).ok());
  std::vector<uint64_t> order;
  for (int i = 0; i < 11; ++i) order.push_back(queue.run(0.1).front());
  EXPECT_LE(std::find(order.begin(), order.end(), 11u) - order.begin(), 2);
}

TEST(PlannerTest, CancelSavesWhatWaits) {
  Queue queue({.max_batch_tokens = 100});
  ASSERT_TRUE(queue.add(1, 5, 100, 0).ok());
  (void)queue.planner.next(0);
  EXPECT_EQ(queue.planner.cancel(1), 400u);
  EXPECT_EQ(queue.planner.cancel(1), 0u);
  EXPECT_THAT(queue.planner.finished(1, true).completed, ::testing::IsEmpty());
  EXPECT_TRUE(queue.planner.next(0).pairs.empty());
}

TEST(PlannerTest, EqualPairsAreComputedOnce) {
  Queue queue({.max_batch_tokens = 1000});
  ASSERT_TRUE(queue.add_known(1, {7, 8, 7}, 0).ok());
  ASSERT_TRUE(queue.add_known(2, {8, 9}, 0).ok());
  EXPECT_EQ(queue.planner.queued_tokens(), 30u);
  const Plan& plan = queue.planner.next(0);
  EXPECT_THAT(requests_of(plan), ::testing::ElementsAre(1, 1, 2));
  ASSERT_TRUE(queue.add_known(3, {9, 7}, 0.001).ok());  // both are running
  EXPECT_EQ(plan.shared.size(), 4u);
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
  EXPECT_THAT(queue.planner.finished(0.01, true).completed, ::testing::UnorderedElementsAre(1, 2, 3));
  EXPECT_TRUE(queue.planner.next(0.02).pairs.empty());
}

TEST(PlannerTest, WhoSharesIsNotHurtByTheOthers) {
  Queue queue({.max_batch_tokens = 1000});
  ASSERT_TRUE(queue.add_known(1, {7, 8}, 0).ok());
  ASSERT_TRUE(queue.add_known(2, {8}, 0).ok());
  EXPECT_EQ(queue.planner.cancel(1), 10u);  // pair 8 is still wanted
  EXPECT_EQ(queue.planner.queued_tokens(), 10u);
  EXPECT_THAT(requests_of(queue.planner.next(0)), ::testing::ElementsAre(2));
  ASSERT_TRUE(queue.add_known(3, {8, 9}, 0).ok());
  const Outcome outcome = queue.planner.finished(0.01, false);
  EXPECT_THAT(outcome.failed, ::testing::ElementsAre(2));
  EXPECT_THAT(queue.run(0.1), ::testing::ElementsAre(3, 3));
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(3));
}

TEST(PlannerTest, HoldsWhatDoesNotFitWhenAskedTo) {
  Queue queue({.max_batch_tokens = 100, .max_queued_tokens = 200, .max_held_requests = 2});
  ASSERT_TRUE(queue.add(1, 2, 100, 0).ok());
  ASSERT_TRUE(queue.add(2, 1, 100, 1).ok());
  ASSERT_TRUE(queue.add(3, 1, 100, 2, 4.0).ok());
  EXPECT_EQ(queue.planner.held_requests(), 2u);
  EXPECT_EQ(queue.add(4, 1, 1, 3).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(queue.planner.expire(5), ::testing::ElementsAre(3));
  EXPECT_THAT(queue.run(5), ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(5), ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(5), ::testing::ElementsAre(2));
  EXPECT_TRUE(queue.run(5).empty());
}

TEST(PlannerTest, LingersOnlyWhileMoreIsLikely) {
  Queue eager({}), patient({.max_batch_tokens = 100, .max_wait_seconds = 0.01});
  EXPECT_FALSE(eager.planner.start_time(0));
  ASSERT_TRUE(eager.add(1, 1, 10, 1).ok());
  EXPECT_EQ(eager.planner.start_time(1), 1.0);
  ASSERT_TRUE(patient.add(1, 1, 10, 1).ok());
  EXPECT_EQ(patient.planner.start_time(1), 1.0);  // nobody came before: nothing is likely
  patient.run(1);
  for (uint64_t id = 2; id < 60; ++id) {
    ASSERT_TRUE(patient.add(id, 1, 1, 1 + 0.001 * static_cast<double>(id)).ok());
    if (id < 59) patient.run(1 + 0.001 * static_cast<double>(id));
  }
  const double last = 1.059;
  EXPECT_GT(*patient.planner.start_time(last), last);
  EXPECT_LE(*patient.planner.start_time(last), last + 0.01);
  EXPECT_EQ(patient.planner.start_time(last + 0.02), last + 0.02);
  ASSERT_TRUE(patient.add(60, 1, 100, last).ok());  // the batch is full
  EXPECT_EQ(patient.planner.start_time(last), last);
}

TEST(PlannerTest, GroupsByLengthOnlyForEnginesThatPad) {
  for (bool pads : {false, true}) {
    Planner planner({.max_batch_tokens = 1000, .pads = pads});
    ASSERT_TRUE(planner.admit({1, std::vector<uint32_t>{10, 100, 90, 12}}, 0).ok());
    ASSERT_TRUE(planner.admit({2, std::vector<uint32_t>{95, 11}}, 0).ok());
    const Plan& plan = planner.next(0);
    EXPECT_EQ(plan.pairs.size(), pads ? 3u : 6u);
    EXPECT_EQ(plan.tokens, pads ? 300u : 318u);
    planner.finished(0.1, true);
    EXPECT_EQ(planner.next(0).pairs.size(), pads ? 3u : 0u);
  }
  Planner generous({.max_batch_tokens = 1000, .pads = true, .padding_budget = 0.95});
  ASSERT_TRUE(generous.admit({1, std::vector<uint32_t>{10, 100, 90, 12}}, 0).ok());
  EXPECT_EQ(generous.next(0).tokens, 400u);
}

TEST(CostModelTest, FindsTheFixedPartAndTheRateAndFollowsAChange) {
  CostModel cost(0.001);
  EXPECT_EQ(cost.seconds(100), 0);
  for (double work : {20.0, 200.0, 2000.0, 500.0}) cost.observe(work, 0.002 + 1e-4 * work);
  EXPECT_NEAR(cost.fixed(), 0.002, 1e-6);
  EXPECT_NEAR(cost.rate(), 1e-4, 1e-8);
  for (int i = 0; i < 20; ++i) cost.observe(100 + 100 * (i % 10), 0.002 + 1e-4 * (100 + 100 * (i % 10)));
  cost.observe(1000, 5);  // one hiccup of fifty times the predicted time
  EXPECT_LT(cost.seconds(1000), 0.2);
  for (int i = 0; i < 100; ++i) cost.observe(100 + 20 * (i % 10), 3 * (0.002 + 1e-4 * (100 + 20 * (i % 10))));
  EXPECT_NEAR(cost.seconds(150) / 0.051, 1, 0.05);
  // Batches of one size only: the prediction for that size is right.
  CostModel one(0);
  for (int i = 0; i < 50; ++i) one.observe(1000, 0.1);
  EXPECT_NEAR(one.seconds(1000), 0.1, 1e-9);
}

// Logit of a sequence: the sum of its ids. Can be held back, and can fail.
class FakeBackend : public Backend {
 public:
  const BackendInfo& info() const override { return information; }
  Status forward(const Batch& batch, std::span<float> logits) override {
    ++entered;
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return open_; });
    ++batches;
    if (fail_next.exchange(false)) return absl::InternalError("broken on purpose");
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
  std::atomic<bool> fail_next{false};
  BackendInfo information;

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
  for (const auto& s : sequences) {
    job->ids.insert(job->ids.end(), s.begin(), s.end());
    job->offsets.push_back(static_cast<uint32_t>(job->ids.size()));
  }
  job->segments.resize(job->ids.size());
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

// Where the engine runs on a device: the answer that waits for the next batch would wait for ever on the engine's thread.
TEST(SchedulerTest, ADeviceComputesWhileAnswersAreTold) {
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

class AllJobsTest : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Engines, AllJobsTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "offloads" : "computes_here"; });

// Many threads, jobs that share, fail, expire and are cancelled: each is answered once, and rightly.
TEST_P(AllJobsTest, AreAnsweredOnce) {
  FakeBackend backend;
  backend.information.offloads = GetParam();
  std::atomic<int> answered{0}, wrong{0};
  constexpr int kThreads = 4, kJobs = 300;
  {
    Scheduler scheduler(backend, {.max_batch_tokens = 16}, nullptr);
    std::vector<std::thread> clients;
    for (int t = 0; t < kThreads; ++t) {
      clients.emplace_back([&, t] {
        for (int i = 0; i < kJobs; ++i) {
          auto job = std::make_unique<Job>();
          for (int s = 0; s < 1 + i % 3; ++s) {
            job->ids.insert(job->ids.end(), {(i + s) % 7, t % 2});
            job->offsets.push_back(static_cast<uint32_t>(job->ids.size()));
          }
          job->segments.resize(job->ids.size());
          auto cancellation = std::make_shared<Cancellation>();
          job->cancellation = cancellation;
          if (i % 11 == 0) job->deadline = Clock::now() + std::chrono::microseconds(200);
          if (i % 17 == 0) backend.fail_next = true;
          job->done = [&](Job& j, const Status& status) {
            ++answered;
            for (size_t s = 0; status.ok() && s < j.logits.size(); ++s) {
              wrong += j.logits[s] != static_cast<float>(j.ids[2 * s] + j.ids[2 * s + 1]);
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
  FakeBackend backend;
  backend.information.offloads = GetParam();
  std::vector<std::shared_ptr<Outcome>> outcomes;
  {
    Scheduler scheduler(backend, {.max_batch_tokens = 2}, nullptr);
    for (int i = 0; i < 50; ++i) {
      outcomes.push_back(std::make_shared<Outcome>());
      scheduler.submit(make_job({{i}, {i}, {i}}, outcomes.back()));
    }
  }
  for (auto& outcome : outcomes) EXPECT_TRUE(outcome->future.get().first.ok());
}

// Logit: the first token id. Competitors below the floor, or out of the first `keep`, leave after one layer of four.
struct ContestBackend : public Backend {
  BackendInfo information;
  std::vector<Contest> seen;
  const BackendInfo& info() const override { return information; }
  Status forward(const Batch& batch, std::span<float> logits) override {
    for (size_t i = 0; i < batch.size(); ++i) logits[i] = static_cast<float>(batch.ids[batch.offsets[i]]);
    return ok_status();
  }
  Status forward_contests(const Batch& batch, std::span<const Contest> contests, std::span<float> logits,
                          std::span<uint8_t> depths) override {
    for (const Contest& c : contests) {
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
    for (int i = 0; i < 10; ++i) job->ids.push_back(id), job->segments.push_back(0);
    job->offsets.push_back(static_cast<uint32_t>(job->ids.size()));
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
  EXPECT_EQ(backend.seen[0].floor, Contest().floor);  // one is known, two are wanted
  EXPECT_EQ(backend.seen[1].floor, 7);
  EXPECT_EQ(backend.seen[1].size, 3u);
}

}  // namespace
}  // namespace rerank
