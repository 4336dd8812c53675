#include "schedule/turns.h"

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
