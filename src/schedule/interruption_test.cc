// Batches that take long, and what is computed in their midst: as planned, and on the threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <semaphore>
#include <thread>

#include "base/metrics.h"
#include "schedule/planner_test.h"
#include "schedule/scheduler_test.h"

namespace rerank::schedule {
namespace {

// A pair of four seconds runs.
class InterruptedTest : public ::testing::Test {
 protected:
  const Plan& start(std::optional<double> deadline = {}) {
    queue_.learn(1e-3);
    EXPECT_TRUE(queue_.add(1, 1, 4000, 0, deadline).ok());
    const Plan& running = queue_.planner.next(0);
    EXPECT_TRUE(queue_.planner.is_interruptible(running));
    return running;
  }
  std::vector<uint64_t> run_between(const Plan& running, double now, double seconds) {
    const Plan& plan = queue_.planner.next_between(running, now);
    const auto ids = requests_of(plan);
    queue_.last = queue_.planner.finished(plan, now + seconds, seconds, true);
    return ids;
  }

  Queue queue_{{.interruptible = true}};
};

TEST_F(InterruptedTest, WhatIsShortDoesNotWaitForIt) {
  const Plan& running = start();
  EXPECT_THAT(run_between(running, 0.5, 0), ::testing::IsEmpty());
  EXPECT_TRUE(queue_.add(2, 3, 10, 1, 1.5).ok()) << "three seconds are left";
  const Plan& between = queue_.planner.next_between(running, 1);
  EXPECT_THAT(requests_of(between), ::testing::ElementsAre(2, 2, 2));
  EXPECT_TRUE(queue_.add(3, 1, 10, 1.01, 1.5).ok()) << "it waits for the one that interrupts, not for both";
  queue_.last = queue_.planner.finished(between, 1.03, 0.03, true);
  EXPECT_THAT(queue_.last.completed, ::testing::ElementsAre(2));
  EXPECT_NEAR(queue_.planner.backlog_seconds(1.03), 3.01, 1e-6) << "the long one ends later";
  EXPECT_THAT(run_between(running, 1.1, 0.01), ::testing::ElementsAre(3));
  EXPECT_THAT(run_between(running, 1.2, 0), ::testing::IsEmpty());
  queue_.last = queue_.planner.finished(running, 4.04, 4, true);
  EXPECT_THAT(queue_.last.completed, ::testing::ElementsAre(1));
  EXPECT_NEAR(queue_.planner.backlog_seconds(4.04), 0, 1e-9);
}

TEST_F(InterruptedTest, WhatTakesLongOrCameLaterInTheQueueWaits) {
  const Plan& running = start();
  ASSERT_TRUE(queue_.add(2, 1, 1600, 1).ok());  // more than half of what is left
  EXPECT_THAT(run_between(running, 1, 0), ::testing::IsEmpty());
  ASSERT_TRUE(
      queue_.add(3, 1, 1000, 1.1).ok());  // is before 2 in the queue, and interrupts for longer than a batch may
  const Plan& between = queue_.planner.next_between(running, 1.2);
  ASSERT_THAT(requests_of(between), ::testing::ElementsAre(3));
  EXPECT_TRUE(queue_.planner.is_interruptible(between));
  ASSERT_TRUE(queue_.add(4, 1, 10, 1.3).ok());
  EXPECT_THAT(run_between(between, 1.4, 0.01), ::testing::ElementsAre(4));
  queue_.planner.finished(between, 2.21, 1, true);
  EXPECT_NEAR(queue_.planner.backlog_seconds(2.21), 2.8 + 1.6, 1e-6);
  queue_.planner.cancel(2);
  ASSERT_TRUE(queue_.add(5, 1, 10, 2.3, {}, -1).ok());
  EXPECT_THAT(run_between(running, 2.4, 0), ::testing::IsEmpty()) << "of lower priority";
}

TEST_F(InterruptedTest, ItsDeadlineHolds) {
  const Plan& running = start(5.0);
  ASSERT_TRUE(queue_.add(2, 1, 200, 0.1).ok());
  EXPECT_THAT(run_between(running, 0.2, 0), ::testing::IsEmpty()) << "with a margin it would be late";
  EXPECT_EQ(queue_.add(3, 1, 100, 0.3, 0.6).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(run_between(running, 3.5, 0.2), ::testing::ElementsAre(2))
      << "half a second is left, and one more till then";
}

TEST_F(InterruptedTest, WhatWaitsForItsEndKeepsItsDeadline) {
  start();
  ASSERT_TRUE(queue_.add(2, 1, 3000, 0.1, 7.8).ok());
  EXPECT_FALSE(queue_.add(3, 1, 1000, 0.2, 2.0).ok()) << "it would interrupt, and both would end too late for 2";
  EXPECT_TRUE(queue_.add(4, 1, 100, 0.3, 2.0).ok());
}

TEST_F(InterruptedTest, AFailureOfOneLeavesTheOther) {
  const Plan& running = start();
  ASSERT_TRUE(queue_.add(2, 1, 10, 1).ok());
  const Plan& between = queue_.planner.next_between(running, 1);
  queue_.last = queue_.planner.finished(between, 1.1, 0.1, false);
  EXPECT_THAT(queue_.last.failed, ::testing::ElementsAre(2));
  ASSERT_TRUE(queue_.add(3, 1, 10, 1.2).ok());
  EXPECT_EQ(queue_.planner.cancel(1), 0u);
  EXPECT_THAT(run_between(running, 1.3, 0.1), ::testing::ElementsAre(3));
  queue_.last = queue_.planner.finished(running, 1.5, 1, false);
  EXPECT_THAT(queue_.last.failed, ::testing::IsEmpty());
}

TEST(PlannerTest, AnEngineThatCannotBeInterruptedIsNot) {
  Queue queue({});
  queue.learn(1e-3);
  ASSERT_TRUE(queue.add(1, 1, 4000, 0).ok());
  EXPECT_FALSE(queue.planner.is_interruptible(queue.planner.next(0)));
  EXPECT_EQ(queue.add(2, 1, 10, 1, 1.5).code(), absl::StatusCode::kResourceExhausted);
}

// Computes what it may be interrupted in, in several parts: before each but the first it waits for the test, and then
// lets others go.
class InterruptibleBackend : public FakeBackend {
 public:
  InterruptibleBackend() { information.interruptible = true; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    for (int part = 1; batch.between != nullptr && part < parts; ++part) {
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
  std::atomic<int> parts{4};
  std::atomic<int> waiting{0};
  std::counting_semaphore<4> go_on{0};
};

class InterruptionTest : public ::testing::Test {
 protected:
  using Answer = std::shared_ptr<JobOutcome>;

  // A pair of a second.
  Answer submit_long(std::shared_ptr<Cancellation> cancellation = nullptr) {
    auto outcome = std::make_shared<JobOutcome>();
    auto job = make_job({std::vector<int32_t>(1000, 1)}, outcome);
    job->cancellation = std::move(cancellation);
    scheduler_.submit(std::move(job));
    backend_.await(1);
    return outcome;
  }
  static Answer submit_short(Scheduler& scheduler, int32_t id) {
    auto outcome = std::make_shared<JobOutcome>();
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
  backend_.go_on.release(backend_.parts);
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
  backend_.parts = 1'000'000;  // until the neighbour has asked for its turn
  const Answer longer = submit_long();
  const Answer shorter = submit_short(neighbour, 5);
  for (int part = 2; !is_answered(shorter); ++part) {
    backend_.go_on.release();
    backend_.await(part);
  }
  EXPECT_THAT(shorter->future.get().second, ::testing::ElementsAre(5, 10));
  EXPECT_FALSE(is_answered(longer));
  backend_.parts = 0;
  backend_.go_on.release();
  EXPECT_TRUE(longer->future.get().first.ok());
}

}  // namespace
}  // namespace rerank::schedule
