// The planner by hand, with a hand-wound clock.
#include "schedule/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace rerank::schedule {
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
    const Plan& plan = planner.next(now);
    const auto ids = requests_of(plan);
    last = planner.finished(plan, now + seconds, seconds, true);
    return ids;
  }

  Planner planner;
  Outcome last;
};

// Where the fixed part of a batch takes longer than a batch may, each holds one pair and not one token: a request is as
// long as its pairs' batches, and is not refused for a time that it would never take.
TEST(PlannerTest, NoRequestThatFitsItsDeadlineIsRefused) {
  constexpr double kLimit = 0.25, kRate = 1e-4;
  for (const double times : {0.1, 0.5, 0.9, 0.99, 1.0, 1.1, 2.0, 5.0, 10.0}) {
    const double fixed = times * kLimit;
    for (const uint32_t length : {16u, 128u, 512u}) {
      for (const size_t pairs : {1u, 4u, 64u}) {
        Queue queue({.max_batch_tokens = 8192, .max_batch_seconds = kLimit, .max_queue_seconds = 0});
        for (const double size : {0.5, 1.0, 2.0, 4.0})  // of the sizes that come
          queue.planner.observe(size * length, fixed + kRate * size * length);
        const double slowest = static_cast<double>(pairs) * (fixed + kRate * length);  // a batch for each pair
        EXPECT_TRUE(queue.add(1, pairs, length, 0, slowest * 1.2).ok()) << times << " " << length << " " << pairs;
        double now = 0;
        while (queue.planner.queued_tokens() > 0) {
          const Plan& plan = queue.planner.next(now);
          ASSERT_FALSE(plan.pairs.empty());
          const double seconds = fixed + kRate * static_cast<double>(plan.tokens);
          now += seconds;
          queue.last = queue.planner.finished(plan, now, seconds, true);
        }
        EXPECT_LE(now, slowest * 1.2) << "and it does fit";
      }
    }
  }
}

TEST(PlannerTest, AFirstBatchDoesNotRefuseWork) {
  Queue queue({.max_batch_tokens = 8192, .max_queue_seconds = 0});
  queue.planner.observe(10, 10);  // a cold start
  EXPECT_TRUE(queue.add(1, 1, 100, 0, 5).ok());
}

TEST(PlannerTest, FillsTheBudgetAcrossRequestsInOrder) {
  Queue queue({.max_batch_tokens = 100});
  ASSERT_TRUE(queue.add(1, 3, 30, 0).ok());
  ASSERT_TRUE(queue.add(2, 2, 10, 0.001).ok());
  const Plan& plan = queue.planner.next(0.002);
  EXPECT_THAT(requests_of(plan), ::testing::ElementsAre(1, 1, 1, 2));
  EXPECT_EQ(plan.tokens, 100u);
  EXPECT_THAT(queue.planner.finished(plan, 0.012, 0.01, true).completed, ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(0.02), ::testing::ElementsAre(2));
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(2));
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
  EXPECT_TRUE(queue.planner.next(0.03).pairs.empty());
}

TEST(PlannerTest, APairLongerThanTheBudgetGoesAlone) {
  Planner planner({.max_batch_tokens = 100});
  ASSERT_TRUE(planner.admit({1, std::vector<uint32_t>{500, 10}}, 0).ok());
  const Plan& plan = planner.next(0);
  EXPECT_EQ(plan.pairs.size(), 1u);
  planner.finished(plan, 1, 1, true);
  EXPECT_EQ(planner.next(0).pairs.size(), 1u);
}

TEST(PlannerTest, ASmallRequestOvertakesALargeOneButNotForEver) {
  Queue queue({.max_batch_tokens = 1000, .max_batch_seconds = 10, .max_queue_seconds = 0});
  queue.learn(0.001);
  ASSERT_TRUE(queue.add(1, 1000, 100, 10).ok());  // 100 s of work: position 10 + 200
  ASSERT_TRUE(queue.add(2, 5, 100, 10.1).ok());   // 0.5 s of work: position 11.1
  ASSERT_TRUE(queue.add(3, 5, 100, 209.5).ok());  // position 210.5: after the large one
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
  const Plan& plan = queue.planner.next(0);  // takes request 1
  EXPECT_EQ(queue.planner.next_deadline(), 2.0);
  EXPECT_THAT(queue.planner.expire(1.5), ::testing::IsEmpty());
  EXPECT_THAT(queue.planner.expire(2.0), ::testing::ElementsAre(2));
  EXPECT_THAT(queue.planner.finished(plan, 2, 2, true).completed, ::testing::ElementsAre(1));
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
}

TEST(PlannerTest, NoRequestIsOvertakenThatWouldMissItsDeadline) {
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
  const Plan& plan = queue.planner.next(0);
  EXPECT_EQ(queue.planner.cancel(1), 400u);
  EXPECT_EQ(queue.planner.cancel(1), 0u);
  EXPECT_THAT(queue.planner.finished(plan, 1, 1, true).completed, ::testing::IsEmpty());
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
  EXPECT_THAT(queue.planner.finished(plan, 0.01, 0.01, true).completed, ::testing::UnorderedElementsAre(1, 2, 3));
  EXPECT_TRUE(queue.planner.next(0.02).pairs.empty());
}

// Minutes, and under the scheduler's lock, where each that leaves moves the others.
TEST(PlannerTest, HundredsOfThousandsOfEqualPairsLeaveAsTheyCame) {
  Queue queue({.max_batch_tokens = 1000});
  constexpr uint64_t kRequests = 40;
  const std::vector<uint64_t> names(10000, 7);
  for (uint64_t id = 1; id <= kRequests; ++id)
    ASSERT_TRUE(queue.add_known(id, names, 0.001 * static_cast<double>(id)).ok());
  EXPECT_EQ(queue.planner.queued_tokens(), 10u);
  for (uint64_t id = 1; id < kRequests; ++id) EXPECT_EQ(queue.planner.cancel(id), 0u) << "the others want it";
  EXPECT_EQ(queue.run(1).size(), 1u);
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(kRequests));
  EXPECT_EQ(queue.planner.waiting_requests(), 0u);
}

TEST(PlannerTest, ARequestThatSharesPairsIsNotHurtByTheOthers) {
  Queue queue({.max_batch_tokens = 1000});
  ASSERT_TRUE(queue.add_known(1, {7, 8}, 0).ok());
  ASSERT_TRUE(queue.add_known(2, {8}, 0).ok());
  EXPECT_EQ(queue.planner.cancel(1), 10u);  // pair 8 is still wanted
  EXPECT_EQ(queue.planner.queued_tokens(), 10u);
  const Plan& plan = queue.planner.next(0);
  EXPECT_THAT(requests_of(plan), ::testing::ElementsAre(2));
  ASSERT_TRUE(queue.add_known(3, {8, 9}, 0).ok());
  const Outcome outcome = queue.planner.finished(plan, 0.01, 0.01, false);
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
  EXPECT_EQ(patient.planner.start_time(1), 1.0);  // no request came before: nothing is likely
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
    planner.finished(plan, 0.1, 0.1, true);
    EXPECT_EQ(planner.next(0).pairs.size(), pads ? 3u : 0u);
  }
  Planner generous({.max_batch_tokens = 1000, .pads = true, .padding_budget = 0.95});
  ASSERT_TRUE(generous.admit({1, std::vector<uint32_t>{10, 100, 90, 12}}, 0).ok());
  EXPECT_EQ(generous.next(0).tokens, 400u);
}

// Batches of 100 tokens, 0.1 s each, and the first begins at 0.
struct TwoBatchesTest : public ::testing::Test {
  void SetUp() override {
    queue.learn(0.001);
    ASSERT_TRUE(queue.add_known(1, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0).ok());
    first = &queue.planner.next(0);
  }
  Queue queue{{.max_batch_tokens = 100, .max_batch_seconds = 10, .prediction_margin = 1}};
  const Plan* first = nullptr;
};

TEST_F(TwoBatchesTest, TheSecondIsPlannedShortlyBeforeTheFirstEnds) {
  EXPECT_FALSE(queue.planner.start_time(0.01));
  ASSERT_TRUE(queue.add(2, 1, 100, 0.01).ok());
  EXPECT_NEAR(*queue.planner.start_time(0.01), 0.088, 1e-9);  // 2 ms and a tenth of the first one's time
  EXPECT_EQ(queue.planner.start_time(0.09), 0.09);
  EXPECT_EQ(queue.planner.start_time(0.15), 0.15);  // the first is late
}

TEST_F(TwoBatchesTest, BothAreWaitedFor) {
  ASSERT_TRUE(queue.add(2, 1, 100, 0.01).ok());
  const Plan& second = queue.planner.next(0.09);
  EXPECT_NEAR(queue.planner.backlog_seconds(0.09), 0.11, 1e-9);
  EXPECT_EQ(queue.add(3, 1, 50, 0.09, 0.24).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(queue.add(4, 1, 50, 0.09, 0.3).ok());
  EXPECT_THAT(queue.planner.finished(*first, 0.12, 0.12, true).completed, ::testing::ElementsAre(1));
  EXPECT_NEAR(queue.planner.backlog_seconds(0.12), 0.15, 0.02);  // the second has begun only now; and a little slower
  EXPECT_THAT(queue.planner.finished(second, 0.22, 0.1, true).completed, ::testing::ElementsAre(2));
  EXPECT_THAT(queue.run(0.22), ::testing::ElementsAre(4));
}

TEST_F(TwoBatchesTest, ARequestThatWouldBeLateAfterTheFirstIsDropped) {
  ASSERT_TRUE(queue.add(2, 1, 100, 0.01).ok());
  ASSERT_TRUE(queue.add(3, 1, 50, 0.01, 0.295, -1).ok());
  (void)queue.planner.next(0.09);
  queue.planner.finished(*first, 0.15, 0, true);  // late: the second will end at 0.25
  EXPECT_THAT(queue.planner.next(0.24).expired, ::testing::ElementsAre(3));
}

TEST_F(TwoBatchesTest, EqualPairsJoinEitherOfThem) {
  ASSERT_TRUE(queue.add_known(2, {20, 21}, 0.01).ok());
  const Plan& second = queue.planner.next(0.09);
  ASSERT_TRUE(queue.add_known(3, {1, 21}, 0.095).ok());
  EXPECT_EQ(queue.planner.queued_tokens(), 0u);
  EXPECT_THAT(first->shared, ::testing::SizeIs(1));
  EXPECT_THAT(second.shared, ::testing::SizeIs(1));
  EXPECT_THAT(queue.planner.finished(*first, 0.1, 0.1, true).completed, ::testing::ElementsAre(1));
  ASSERT_TRUE(queue.add_known(4, {1, 20}, 0.11).ok());  // pair 1 has been computed, and is asked for again
  EXPECT_EQ(queue.planner.queued_tokens(), 10u);
  EXPECT_THAT(queue.planner.finished(second, 0.12, 0.02, true).completed, ::testing::UnorderedElementsAre(2, 3));
  EXPECT_THAT(queue.run(0.12), ::testing::ElementsAre(4));
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(4));
}

TEST_F(TwoBatchesTest, AFailureOfOneLeavesTheOther) {
  ASSERT_TRUE(queue.add_known(2, {20, 21}, 0.01).ok());
  const Plan& second = queue.planner.next(0.09);
  ASSERT_TRUE(queue.add_known(3, {1, 20}, 0.095).ok());
  // They may end in the other order, too.
  EXPECT_THAT(queue.planner.finished(second, 0.1, 0, false).failed, ::testing::ElementsAre(2));
  EXPECT_EQ(queue.planner.queued_tokens(), 10u);  // what 3 shared with 2
  EXPECT_THAT(queue.planner.finished(*first, 0.1, 0.1, true).completed, ::testing::ElementsAre(1));
  EXPECT_THAT(queue.run(0.1), ::testing::ElementsAre(3));
  EXPECT_THAT(queue.last.completed, ::testing::ElementsAre(3));
}

TEST_F(TwoBatchesTest, ARequestInBothEndsWithTheLater) {
  ASSERT_TRUE(queue.add(2, 3, 50, 0.01).ok());
  const Plan& second = queue.planner.next(0.09);
  const Plan& third = queue.planner.next(0.09);
  EXPECT_THAT(queue.planner.finished(*first, 0.1, 0.1, true).completed, ::testing::ElementsAre(1));
  EXPECT_THAT(queue.planner.finished(second, 0.2, 0.1, true).completed, ::testing::IsEmpty());
  EXPECT_THAT(queue.planner.finished(third, 0.25, 0.05, true).completed, ::testing::ElementsAre(2));
  ASSERT_TRUE(queue.add(3, 3, 50, 0.3).ok());
  const Plan& good = queue.planner.next(0.3);
  const Plan& bad = queue.planner.next(0.3);
  EXPECT_THAT(queue.planner.finished(bad, 0.4, 0.05, false).failed, ::testing::ElementsAre(3));
  EXPECT_THAT(queue.planner.finished(good, 0.4, 0.1, true).completed, ::testing::IsEmpty());
  EXPECT_EQ(queue.planner.backlog_seconds(0.4), 0);
}

TEST(CostModelTest, FindsTheFixedPartAndTheRateAndFollowsAChange) {
  CostModel cost({.square = 0.001});
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
  CostModel one({});
  for (int i = 0; i < 50; ++i) one.observe(1000, 0.1);
  EXPECT_NEAR(one.seconds(1000), 0.1, 1e-9);
}

TEST(CostModelTest, WindowsGrowWithTheLengthNotWithItsSquare) {
  const CostModel cost({.square = 1e-3, .windowed = 2e-3, .span = 129});
  EXPECT_DOUBLE_EQ(cost.work(100), 100 * (1 + 0.1 + 0.2));
  EXPECT_DOUBLE_EQ(cost.work(1000), 1000 * (1 + 1 + 0.258));
  const CostModel windows({.windowed = 2e-3, .span = 129});
  EXPECT_DOUBLE_EQ(windows.work(8000), 4 * windows.work(2000));
}

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

// Forty tokens that all ten pairs begin with are computed once: work of a request, of what waits, and of batches.
TEST(PlannerTest, WhatPairsBeginWithCountsOnce) {
  Planner planner({.max_batch_tokens = 500, .max_queue_seconds = 0, .attention = {.square = 1e-3}});
  planner.observe(1000, 1);
  const std::vector<uint32_t> lengths(10, 100);
  const CostModel& cost = planner.cost();
  const double work = 10 * (cost.work(100) - cost.work(40)) + cost.work(40);
  ASSERT_TRUE(planner.admit({.request = 1, .lengths = lengths, .shared = 40}, 0).ok());
  EXPECT_NEAR(planner.backlog_seconds(0), cost.seconds(work), 1e-9);
  double done = 0;
  for (double now = 0; planner.queued_tokens() > 0; now += 1) {
    const Plan& plan = planner.next(now);
    done += plan.work;
    planner.finished(plan, now, cost.seconds(plan.work), true);
  }
  EXPECT_NEAR(done, work, 1e-9);
  EXPECT_NEAR(planner.backlog_seconds(9), 0, 1e-9);
}

}  // namespace
}  // namespace rerank::schedule
