// What docs/scaling.md says of fleets.
#include <gtest/gtest.h>

#include "simulation/fleet.h"

namespace rerank {
namespace {

FleetOptions busy_fleet() {
  FleetOptions options;
  options.requests_per_second = 200;
  options.replicas = 73;  // 70 % busy
  options.seconds = 20;
  return options;
}

TEST(FleetTest, EveryRequestHasOneEnd) {
  for (const Routing routing : {Routing::kRoundRobin, Routing::kTwoChoices, Routing::kQueryHash}) {
    FleetOptions options = busy_fleet();
    options.routing = routing;
    options.dies_every = 30;
    const FleetReport found = simulate_fleet(options);
    EXPECT_GT(found.requests, 3500u);
    EXPECT_EQ(found.requests, found.answered + found.refused + found.late + found.lost);
  }
}

TEST(FleetTest, LeastBacklogHasTheShorterTail) {
  FleetOptions options = busy_fleet();
  options.routing = Routing::kRoundRobin;
  const FleetReport blind = simulate_fleet(options);
  options.routing = Routing::kTwoChoices;
  const FleetReport seeing = simulate_fleet(options);
  EXPECT_NEAR(seeing.busy, 0.7, 0.05);
  EXPECT_LT(seeing.p99, blind.p99);
}

TEST(FleetTest, RetriesLoseNothingWhenReplicasDie) {
  FleetOptions options = busy_fleet();
  options.dies_every = 60;
  options.tries = 1;
  EXPECT_GT(simulate_fleet(options).lost, 0u);
  options.tries = 4;
  EXPECT_EQ(simulate_fleet(options).lost, 0u);
}

TEST(FleetTest, AQuerysOwnReplicaHasItsScores) {
  FleetOptions options = busy_fleet();
  options.queries = 20000;
  options.cached_requests = 2000;
  const FleetReport any = simulate_fleet(options);
  options.routing = Routing::kQueryHash;
  const FleetReport own = simulate_fleet(options);
  EXPECT_GT(own.cached, any.cached * 3 / 2);
}

TEST(FleetTest, TheBacklogBringsReplicas) {
  FleetOptions options = busy_fleet();
  options.requests_per_second = 20;
  options.replicas = options.least = 8;
  options.most = 40;
  options.seconds = 240;
  options.backlog_seconds = 0.4;
  options.load_step_at = 60;
  options.load_step = 2;
  options.start_seconds = 5;
  const FleetReport found = simulate_fleet(options);
  EXPECT_GT(found.most_replicas, 10u);
  EXPECT_GT(found.answered, found.requests * 98 / 100);
}

TEST(FleetTest, OneSeedOneResult) {
  const FleetReport a = simulate_fleet(busy_fleet()), b = simulate_fleet(busy_fleet());
  EXPECT_EQ(a.p999, b.p999);
  EXPECT_EQ(a.answered, b.answered);
}

}  // namespace
}  // namespace rerank
