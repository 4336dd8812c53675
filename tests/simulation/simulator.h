// The planner under traffic: a hand-wound clock, generated requests, and an engine that is slower or faster than
// predicted, hiccups and fails. Everything comes from one seed. Whatever must hold for any traffic is checked on the
// way; what depends on the traffic is counted for the test to judge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "schedule/planner.h"

namespace rerank {

// What a shape of traffic sends.
struct Question {
  double gap = 0;  // seconds after the one before
  std::vector<uint32_t> lengths;
  std::vector<uint64_t> names;  // equal names are equal pairs; empty: all different
  int priority = 0;
  double timeout = 0;   // 0: none
  double patience = 0;  // the client goes away after that; 0: never
};

struct Traffic {
  std::string name;
  size_t arrivals = 0;
  size_t clients = 0;  // 0: open loop. Else closed: so many clients, each sends its next question after an answer
  std::function<Question(struct Random&)> next;
};

struct Engine {
  double seconds_per_token = 2e-5;
  double fixed_seconds = 2e-4;
  double noise = 0.02;    // batches take up to this share more or less
  double slow_share = 0;  // of batches that take three times as long
  double failure_share = 0;
  size_t in_flight = 1;     // batches that it has at most; it computes one after another
  double host_seconds = 0;  // from the planning of a batch until the engine can begin it
  double part_seconds = 0;  // a batch that takes long may be interrupted whenever it has computed so long; 0: never
};

// SplitMix64: the same numbers on every machine.
struct Random {
  uint64_t state;
  uint64_t bits() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  uint64_t below(uint64_t n) { return bits() % n; }
  double exponential(double mean);
};

struct Report {
  size_t arrivals = 0, refused_load = 0, refused_deadline = 0, completed = 0, failed = 0, expired = 0, cancelled = 0;
  size_t interruptions = 0;
  size_t batches = 0, pairs_computed = 0, pairs_shared = 0;
  size_t late = 0;    // completed after their deadline
  double latest = 0;  // the most seconds that one was late
  double longest_batch = 0;
  size_t most_in_flight = 0;
  double seconds = 0;  // until all was done
  double busy_seconds = 0;
  double tokens_completed = 0;    // of requests that were answered in time
  std::vector<double> slowdowns;  // of each completed request: time in the system over its time alone on an idle engine
  std::vector<double> waits;      // of each completed request: its time in the system
  std::vector<uint32_t> sizes;    // its tokens, at the same index
  size_t most_queued_tokens = 0, most_held = 0;
  std::vector<std::string> violations;  // of what must always hold
};

struct Scenario {
  Traffic traffic;
  Engine engine;
  schedule::PlannerOptions planner;
  uint64_t seed = 1;
  bool fair = false;  // also checks that no request is overtaken by one that arrived after its position
};

Report simulate(const Scenario& scenario);

double quantile(std::vector<double> values, double q);

}  // namespace rerank
