#include "schedule/turns/turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace rerank::schedule {
namespace {

TEST(TurnsTest, OneAtATimeAndEverybodyInTheEnd) {
  const auto turns = Turns::make();
  std::atomic<int> computing{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, seat = std::shared_ptr<Turns::Seat>(turns->join(t + 1))] {
      for (int i = 0; i < 500; ++i) {
        seat->take(1e-6);
        most = std::max(most.load(), ++computing);
        --computing;
        const bool more = i % 3 != 0;
        seat->give_back(1e-6, more ? std::optional<double>(1e-6) : std::nullopt);
        if (more && i % 5 == 0) seat->withdraw();
      }
      seat->withdraw();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 1);
}

TEST(TurnsTest, ModelsThatAlwaysWantMoreHaveTurnsByTheirWeights) {
  const auto turns = Turns::make();
  const auto gate = turns->join(1), heavy = turns->join(3), light = turns->join(1);
  gate->take(1);  // until both wait
  std::atomic<size_t> turns_of_light{0}, turns_then{0};
  std::atomic<bool> ended{false};
  std::thread first([&] {
    for (int i = 0; i < 300; ++i) {
      heavy->take(0.01);
      if (i == 299) turns_then = turns_of_light.load();
      heavy->give_back(0.01, i < 299 ? std::optional<double>(0.01) : std::nullopt);
    }
    ended = true;
  });
  std::thread second([&] {
    while (!ended) {
      light->take(0.01);
      ++turns_of_light;
      light->give_back(0.01, 0.01);
    }
    light->withdraw();
  });
  while (gate->share() > 0.21) std::this_thread::yield();
  gate->give_back(1, std::nullopt);
  first.join();
  second.join();
  EXPECT_NEAR(static_cast<double>(turns_then), 100, 3);
}

// A device takes two batches, and computes them as they come.
TEST(TurnsTest, WeightsHoldWhereTwoBatchesAreUnderWay) {
  FairShare fair(2);
  const auto heavy = fair.add(3), light = fair.add(1);
  for (const auto member : {heavy, light, heavy, light}) fair.want(member, 0.01);
  std::vector<FairShare::Member> under_way;
  size_t of_light = 0;
  for (int turn = 0; turn < 800; ++turn) {
    while (const auto member = fair.next()) {
      under_way.push_back(*member);
      of_light += *member == light;
    }
    ASSERT_EQ(under_way.size(), 2u);
    fair.finished(under_way.front(), 0.01, 0.01 * turn);
    fair.want(under_way.front(), 0.01);
    under_way.erase(under_way.begin());
  }
  EXPECT_NEAR(static_cast<double>(of_light), 200, 4);
}

// A model that wants little takes little of what others may count with.
TEST(FairShareTest, WhatAModelMayCountWithIsWhatOthersDoNotUse) {
  FairShare fair;
  const auto small = fair.add(4), large = fair.add(1);
  EXPECT_EQ(fair.share(large, 0), 1);
  double now = 0;
  for (int second = 0; second < 20; ++second) {  // 100 ms of each second
    fair.want(small, 0.1);
    EXPECT_DOUBLE_EQ(fair.share(large, now), 0.2) << "it waits";
    ASSERT_EQ(fair.next(), small);
    EXPECT_LT(fair.share(large, now), 1);
    fair.finished(small, 0.1, now + 0.1);
    now += 1;
  }
  EXPECT_NEAR(fair.share(large, now), 0.9, 0.05);
  EXPECT_EQ(fair.share(large, now + 60), 1) << "long ago";
  EXPECT_EQ(fair.share(small, now), 1) << "the other has wanted nothing";
}

TEST(TurnsTest, ASeatThatLeavesLetsOthersGoOn) {
  const auto turns = Turns::make();
  auto a = turns->join(1);
  const auto b = turns->join(1);
  a->take(1);
  a->give_back(1, 1);  // granted at once, and never taken
  a.reset();
  b->take(1);
  b->give_back(1, std::nullopt);
  EXPECT_EQ(b->share(), 1) << "alone";
}

}  // namespace
}  // namespace rerank::schedule
