// The planner by hand, with a hand-wound clock; the shell over a backend that fails, stalls or answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>

#include "schedule/scheduler.h"

namespace rerank {
namespace {

std::vector<uint32_t> lengths(size_t n, uint32_t length) { return std::vector<uint32_t>(n, length); }

std::vector<uint64_t> requests_of(const Plan& plan) {
  std::vector<uint64_t> ids;
  for (const auto& p : plan.pairs) ids.push_back(p.request);
  return ids;
}

TEST(PlannerTest, FillsTheBudgetAcrossRequestsInOrder) {
  Planner planner({.max_batch_tokens = 100});
  ASSERT_TRUE(planner.admit(1, lengths(3, 30), 0).ok());
  ASSERT_TRUE(planner.admit(2, lengths(2, 10), 0.001).ok());
  Plan plan = planner.next(0.002);
  EXPECT_THAT(requests_of(plan), ::testing::ElementsAre(1, 1, 1, 2));
  EXPECT_EQ(plan.tokens, 100u);
  planner.finished(plan, 0.01);
  EXPECT_THAT(requests_of(planner.next(0.02)), ::testing::ElementsAre(2));
  EXPECT_EQ(planner.queued_tokens(), 0u);
  EXPECT_TRUE(planner.next(0.03).pairs.empty());
}

TEST(PlannerTest, APairLongerThanTheBudgetGoesAlone) {
  Planner planner({.max_batch_tokens = 100});
  ASSERT_TRUE(planner.admit(1, std::vector<uint32_t>{500, 10}, 0).ok());
  EXPECT_EQ(planner.next(0).pairs.size(), 1u);
  EXPECT_EQ(planner.next(0).pairs.size(), 1u);
}

TEST(PlannerTest, ASmallRequestOvertakesALargeOneButNotForEver) {
  Planner planner({.max_batch_tokens = 1000, .max_batch_seconds = 10});
  ASSERT_TRUE(planner.admit(99, lengths(10, 100), 0).ok());
  planner.finished(planner.next(0), 1.0);                      // 1 ms per token
  ASSERT_TRUE(planner.admit(1, lengths(1000, 100), 10).ok());  // 100 s of work: place 10 + 200
  ASSERT_TRUE(planner.admit(2, lengths(5, 100), 10.1).ok());   // 0.5 s of work: place 11.1
  ASSERT_TRUE(planner.admit(3, lengths(5, 100), 209.5).ok());  // place 210.5: behind the large one
  EXPECT_EQ(planner.next(209.6).pairs.front().request, 2u);
  EXPECT_EQ(planner.next(209.7).pairs.front().request, 1u);
}

TEST(PlannerTest, PriorityGoesFirst) {
  Planner planner({.max_batch_tokens = 50});
  ASSERT_TRUE(planner.admit(1, lengths(4, 50), 0).ok());
  ASSERT_TRUE(planner.admit(2, lengths(1, 50), 5, 1).ok());
  EXPECT_EQ(planner.next(6).pairs.front().request, 2u);
}

TEST(PlannerTest, RefusesWhatDoesNotFitAndWhatCannotBeDoneInTime) {
  Planner planner({.max_batch_tokens = 1000, .max_queued_tokens = 1000});
  ASSERT_TRUE(planner.admit(1, lengths(10, 100), 0).ok());
  EXPECT_EQ(planner.admit(2, lengths(1, 1), 0).code(), absl::StatusCode::kResourceExhausted);
  planner.finished(planner.next(0), 1.0);
  EXPECT_EQ(planner.admit(3, lengths(10, 100), 2, 0, 2.5).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(planner.admit(4, lengths(2, 100), 2, 0, 2.5).ok());
  // It waited too long: dropped when its turn comes, not computed.
  Plan plan = planner.next(2.45);
  EXPECT_TRUE(plan.pairs.empty());
  EXPECT_THAT(plan.expired, ::testing::ElementsAre(4));
  EXPECT_EQ(planner.queued_tokens(), 0u);
}

TEST(PlannerTest, CancelSavesWhatWaits) {
  Planner planner({.max_batch_tokens = 100});
  ASSERT_TRUE(planner.admit(1, lengths(5, 100), 0).ok());
  (void)planner.next(0);
  EXPECT_EQ(planner.cancel(1), 400u);
  EXPECT_EQ(planner.cancel(1), 0u);
  EXPECT_TRUE(planner.next(0).pairs.empty());
}

// Logit of a sequence: the sum of its ids. Can be held back, and can fail.
class FakeBackend : public Backend {
 public:
  const BackendInfo& info() const override { return info_; }
  Status forward(const Batch& batch, std::span<float> logits) override {
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
  std::atomic<int> batches{0};
  std::atomic<bool> fail_next{false};

 private:
  BackendInfo info_;
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

TEST(SchedulerTest, StoppingFinishesWhatWasAccepted) {
  FakeBackend backend;
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

}  // namespace
}  // namespace rerank
