// More than a million requests through the planner, in the shapes of traffic that RAG systems send, and in overload.
// `simulation_test --seed N` repeats a run; a failure names its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <string>

#include "simulation/simulator.h"

namespace rerank {
namespace {

uint64_t run_seed = 1;
size_t total_arrivals = 0;

// The engine computes 50,000 tokens a second.
constexpr double kTokensPerSecond = 50000;

std::vector<uint32_t> texts(Random& random, size_t count, uint32_t shortest, uint32_t longest) {
  std::vector<uint32_t> lengths(count);
  for (uint32_t& length : lengths) length = shortest + static_cast<uint32_t>(random.below(longest - shortest + 1));
  return lengths;
}

// Open loop by Poisson's law, so that the engine is asked for `load` times what it can do.
Traffic poisson(std::string name, size_t arrivals, double load, double mean_tokens,
                std::function<Question(Random&)> ask) {
  return {std::move(name), arrivals, 0, [=, ask = std::move(ask)](Random& random) {
            Question question = ask(random);
            question.gap = random.exponential(mean_tokens / kTokensPerSecond / load);
            return question;
          }};
}

Question small_request(Random& random) { return {.lengths = texts(random, 1 + random.below(8), 16, 240)}; }
constexpr double kSmallTokens = 4.5 * 128;

Report run(Scenario scenario) {
  scenario.seed = run_seed * 1000 + hash128(scenario.traffic.name).low % 1000;
  Report report = simulate(scenario);
  total_arrivals += report.arrivals;
  EXPECT_THAT(report.violations, ::testing::IsEmpty()) << scenario.traffic.name << ": repeat with --seed " << run_seed;
  EXPECT_EQ(report.arrivals, scenario.traffic.arrivals);
  EXPECT_EQ(report.arrivals, report.completed + report.refused_load + report.refused_deadline + report.failed +
                                 report.expired + report.cancelled)
      << scenario.traffic.name << ": --seed " << run_seed;
  std::cout << scenario.traffic.name << ": " << report.completed << " done, " << report.refused_load << "+"
            << report.refused_deadline << " refused, " << report.expired << " expired, " << report.failed << " failed, "
            << report.cancelled << " cancelled, " << report.late << " late by at most " << report.latest
            << " s; slowdown P50 " << quantile(report.slowdowns, 0.5) << ", P99 " << quantile(report.slowdowns, 0.99)
            << "; pairs shared " << report.pairs_shared << " of " << report.pairs_computed + report.pairs_shared
            << "\n";
  return report;
}

// An engine that takes a second batch while it computes one, and a host that needs a millisecond for each.
Scenario with_two_in_flight(Scenario scenario) {
  scenario.traffic.name += ", two in flight";
  scenario.engine.in_flight = 2;
  scenario.engine.host_seconds = 0.001;
  return scenario;
}

// What was accepted is answered in time, but for one batch; and hardly anything is dropped after all.
void expect_promises_kept(const Report& report) {
  EXPECT_LE(report.latest, report.longest_batch) << "--seed " << run_seed;
  EXPECT_LE(static_cast<double>(report.expired), 0.001 * static_cast<double>(report.arrivals)) << "--seed " << run_seed;
}

TEST(Simulation, PoissonAtModerateLoad) {
  Scenario s{poisson("poisson 70 %", 200'000, 0.7, kSmallTokens, small_request)};
  s.fair = true;
  for (const Scenario& scenario : {s, with_two_in_flight(s)}) {
    const Report report = run(scenario);
    EXPECT_EQ(report.completed, report.arrivals);
    EXPECT_LT(quantile(report.waits, 0.99), 1.0);
  }
}

TEST(Simulation, Bursts) {
  Scenario s{{"bursts", 150'000, 0, [](Random& random) {
                Question question = small_request(random);
                // A hundred at once, then silence: 70 % on the average.
                question.gap =
                    random.below(100) == 0 ? random.exponential(100 * kSmallTokens / kTokensPerSecond / 0.7) : 0;
                return question;
              }}};
  s.fair = true;
  s.planner.max_queue_seconds = 0;  // the longest bursts are more than twenty seconds of work
  EXPECT_EQ(run(s).completed, 150'000u);
}

// 32 clients, lengths mixed from 32 to 512, an engine that hiccups and fails.
TEST(Simulation, ClosedLoopOverAFailingEngine) {
  Scenario s{
      {"closed loop", 150'000, 32, [](Random& random) { return Question{.lengths = texts(random, 8, 32, 512)}; }}};
  s.engine.slow_share = 0.02;
  s.engine.failure_share = 0.005;
  const Report report = run(s);
  EXPECT_GT(report.failed, 0u);
  EXPECT_EQ(report.completed + report.failed, report.arrivals);
  EXPECT_GT(report.busy_seconds, 0.99 * report.seconds) << "the engine is never idle while work waits";
}

// Batches of some milliseconds, as a fast device computes them, and a host that needs one for each.
TEST(Simulation, ASecondBatchInFlightKeepsAFastEngineBusy) {
  Scenario s{
      {"fast engine", 60'000, 64, [](Random& random) { return Question{.lengths = texts(random, 8, 32, 512)}; }}};
  s.engine = {.seconds_per_token = 1e-6, .host_seconds = 0.001};
  const Report one = run(s), two = run(with_two_in_flight(s));
  std::cout << "  the engine computes " << one.busy_seconds / one.seconds << " of the time, with two in flight "
            << two.busy_seconds / two.seconds << "\n";
  EXPECT_EQ(one.most_in_flight, 1u);
  EXPECT_EQ(two.most_in_flight, 2u);
  EXPECT_EQ(two.completed, two.arrivals);
  EXPECT_LT(one.busy_seconds, 0.92 * one.seconds);
  EXPECT_GT(two.busy_seconds, 0.99 * two.seconds);
  EXPECT_LT(quantile(two.waits, 0.5), quantile(one.waits, 0.5));
  EXPECT_LT(quantile(two.waits, 0.99), quantile(one.waits, 0.99));
}

// Clients that send 8 texts at a time, one request after another, each on its own.
TEST(Simulation, SequentialEights) {
  Scenario s{{"sequential eights", 60'000, 4, [](Random& random) {
                return Question{.gap = random.below(9) == 0 ? 0.5 : 0.001, .lengths = texts(random, 8, 100, 156)};
              }}};
  s.fair = true;
  EXPECT_EQ(run(s).completed, 60'000u);
}

// 64 to 128 texts in one request, now and then one of 8192 tokens.
TEST(Simulation, WholeRetrievals) {
  constexpr double kTokens = 96 * 128 + 0.1 * 8192;
  Scenario s{poisson("whole retrievals", 30'000, 0.8, kTokens, [](Random& random) {
    Question question{.lengths = texts(random, 64 + random.below(65), 64, 192)};
    if (random.below(10) == 0) question.lengths.push_back(8192);
    return question;
  })};
  s.fair = true;
  EXPECT_EQ(run(s).completed, 30'000u);
}

// Small requests beside ones of 1000 documents: both finish, and the small ones hardly notice.
TEST(Simulation, SmallBesideHuge) {
  Scenario s{poisson("small beside huge", 200'000, 0.7, kSmallTokens + 128.0, [](Random& random) {
    if (random.below(1000) == 0) return Question{.lengths = texts(random, 1000, 64, 192)};  // 2.6 s alone
    return small_request(random);
  })};
  s.fair = true;
  s.planner.max_queue_seconds = 0;
  const Report report = run(s);
  EXPECT_EQ(report.completed, report.arrivals);
  std::vector<double> small, huge;
  for (size_t i = 0; i < report.sizes.size(); ++i) {
    report.sizes[i] < 10'000 ? small.push_back(report.waits[i]) : huge.push_back(report.slowdowns[i]);
  }
  std::cout << "  small: P50 " << quantile(small, 0.5) << " s, P99 " << quantile(small, 0.99) << " s; huge: P50 "
            << quantile(huge, 0.5) << ", P99 " << quantile(huge, 0.99) << " times alone\n";
  EXPECT_LT(quantile(small, 0.99), 2.0) << "less than the time of one huge request alone, 2.6 s";
  EXPECT_LT(quantile(huge, 0.5), 6.0);
}

TEST(Simulation, OverloadKeepsItsPromises) {
  for (double load : {3.0, 10.0}) {
    Scenario s{
        poisson("overload x" + std::to_string(static_cast<int>(load)), 100'000, load, kSmallTokens, [](Random& random) {
          Question question = small_request(random);
          question.timeout = 2;
          return question;
        })};
    s.engine.noise = 0.1;
    for (const Scenario& scenario : {s, with_two_in_flight(s)}) {
      const Report report = run(scenario);
      expect_promises_kept(report);
      EXPECT_GT(report.tokens_completed / report.seconds, 0.95 * kTokensPerSecond);
      EXPECT_LE(static_cast<double>(report.most_queued_tokens), 2.1 * kTokensPerSecond);
    }
  }
}

// Deadlines of all kinds, priorities, clients that leave, an engine that hiccups and fails, everything at once.
TEST(Simulation, Everything) {
  Scenario s{poisson("everything", 150'000, 1.2, kSmallTokens, [](Random& random) {
    Question question = small_request(random);
    if (random.below(3) == 0) question.timeout = 0.05 * std::exp2(static_cast<double>(random.below(10)));
    if (random.below(10) == 0) question.patience = random.exponential(1.0);
    if (random.below(5) == 0) question.priority = -static_cast<int>(random.below(3));
    for (size_t i = 0; i < question.lengths.size(); ++i) {
      const uint64_t name = random.below(1 + random.below(20000));  // some are asked for often
      question.names.push_back(name);
      question.lengths[i] = 16 + static_cast<uint32_t>(name * 7919 % 225);
    }
    return question;
  })};
  s.engine = {.noise = 0.1, .slow_share = 0.01, .failure_share = 0.005};
  for (const Scenario& scenario : {s, with_two_in_flight(s)}) {
    const Report report = run(scenario);
    EXPECT_LE(report.latest, report.longest_batch) << "--seed " << run_seed;
    EXPECT_GT(report.cancelled, 0u);
    EXPECT_GT(report.pairs_shared, 0u);
    EXPECT_GT(report.failed, 0u);
  }
}

// Short and long deadlines beside each other, at exact speed: no promise is broken.
TEST(Simulation, MixedDeadlines) {
  const Scenario s{poisson("mixed deadlines", 100'000, 1.5, kSmallTokens, [](Random& random) {
    Question question = small_request(random);
    question.timeout = random.below(2) ? 0.5 : 10;
    question.priority = random.below(4) ? 0 : -1;
    return question;
  })};
  for (const Scenario& scenario : {s, with_two_in_flight(s)}) expect_promises_kept(run(scenario));
}

// Now and then a pair of four to eight seconds, which the engine computes in parts of a tenth. Small requests hardly
// notice, and what has a deadline keeps it.
TEST(Simulation, LongPairsAreInterrupted) {
  Scenario s{poisson("long pairs", 100'000, 0.6, kSmallTokens + 300'000 / 2000.0, [](Random& random) {
    Question question = small_request(random);
    if (random.below(2000) == 0) {
      question.lengths = texts(random, 1, 200'000, 400'000);
      if (random.below(2) == 0) question.timeout = 30;
    } else if (random.below(2) == 0) {
      question.timeout = 1;
    }
    if (random.below(20) == 0) question.patience = random.exponential(1.0);
    return question;
  })};
  s.engine.part_seconds = 0.1;
  s.planner.max_queue_seconds = 0;
  const Report report = run(s);
  EXPECT_GT(report.interruptions, 100u);
  EXPECT_LE(report.latest, 0.25);
  EXPECT_LE(static_cast<double>(report.expired), 0.001 * static_cast<double>(report.arrivals));
  std::vector<double> small, large;
  for (size_t i = 0; i < report.sizes.size(); ++i)
    report.sizes[i] < 100'000 ? small.push_back(report.waits[i]) : large.push_back(report.slowdowns[i]);
  s.engine.part_seconds = 0;
  const Report whole = run(s);
  std::cout << "  interrupted " << report.interruptions << " times; small: P50 " << quantile(small, 0.5) << " s, P99 "
            << quantile(small, 0.99) << " s; large: P50 " << quantile(large, 0.5) << ", P99 " << quantile(large, 0.99)
            << " times alone; without interruption P99 " << quantile(whole.waits, 0.99) << " s, "
            << whole.refused_load + whole.refused_deadline << " refused\n";
  EXPECT_LT(quantile(small, 0.99), 0.6);
  EXPECT_LT(quantile(large, 0.99), 8.0);
  EXPECT_GT(quantile(whole.waits, 0.99), 2.0);
  EXPECT_LT(20 * report.refused_load, whole.refused_load) << "with a second to wait, few cannot be";
}

// A question that everybody asks at the same time is computed about once.
TEST(Simulation, AThunderingHerd) {
  Scenario s{{"herd", 20'000, 0, [topic = uint64_t{0}](Random& random) mutable {
                Question question{.gap = 0.0005, .lengths = std::vector<uint32_t>(20, 100)};
                if (random.below(500) == 0) ++topic;
                for (uint64_t i = 0; i < 20; ++i) question.names.push_back(topic * 100 + i);
                return question;
              }}};
  const Report report = run(s);
  EXPECT_EQ(report.completed, report.arrivals);
  EXPECT_GT(report.pairs_shared, 9 * report.pairs_computed);
}

// Instead of refusals: whole requests are held, in order, and all are done.
TEST(Simulation, HeldInsteadOfRefused) {
  Scenario s{{"held", 50'000, 200, [](Random& random) { return small_request(random); }}};
  s.planner.max_queued_tokens = 20'000;
  s.planner.max_held_requests = 200;
  s.fair = false;
  for (const Scenario& scenario : {s, with_two_in_flight(s)}) {
    const Report report = run(scenario);
    EXPECT_EQ(report.completed, report.arrivals);
    EXPECT_GT(report.most_held, 100u);
    EXPECT_LE(report.most_queued_tokens, 20'000u);
  }
}

TEST(Simulation, AnEngineThatPads) {
  Scenario s{{"padding", 40'000, 16, [](Random& random) { return Question{.lengths = texts(random, 8, 32, 512)}; }}};
  s.planner.pads = true;
  const Report report = run(s);
  EXPECT_EQ(report.completed, report.arrivals);
}

TEST(Simulation, LingeringLosesNothing) {
  Scenario s{poisson("lingering", 50'000, 0.5, kSmallTokens, small_request)};
  s.planner.max_wait_seconds = 0.02;
  const Report patient = run(s);
  s.planner.max_wait_seconds = 0;
  const Report eager = run(s);
  EXPECT_EQ(patient.completed, eager.completed);
  EXPECT_LT(patient.batches, eager.batches);
}

TEST(Simulation, MoreThanAMillion) {
  if (::testing::GTEST_FLAG(filter) != "*") GTEST_SKIP() << "not the whole run";
  EXPECT_GE(total_arrivals, 1'000'000u);
}

}  // namespace
}  // namespace rerank

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string(argv[i]) == "--seed") rerank::run_seed = std::strtoull(argv[i + 1], nullptr, 10);
  }
  std::cout << "seed " << rerank::run_seed << "\n";
  return RUN_ALL_TESTS();
}
