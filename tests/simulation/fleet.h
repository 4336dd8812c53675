// Many replicas behind a balancer: each has the server's own planner and an engine that computes so many tokens a
// second; requests are routed, refused, sent again; replicas die and come back; an autoscaler follows the backlog. The
// tables of docs/scaling.md are its output. Everything comes from one seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "schedule/planner.h"

namespace rerank {

enum class Routing { kRoundRobin, kTwoChoices, kQueryHash };

struct FleetOptions {
  double requests_per_second = 100;
  double seconds = 60;    // of traffic that is counted; a quarter as much before it is not
  size_t documents = 20;  // of a request, the mean
  uint32_t tokens = 128;  // of a pair, the mean: they are spread evenly from half of it to one and a half

  size_t replicas = 4;
  double tokens_per_second = 10000;  // of a replica's engine
  double fixed_seconds = 0.001;      // of a batch
  Routing routing = Routing::kTwoChoices;
  size_t tries = 3;             // of a request that is refused or whose replica is gone
  double notice_seconds = 0.5;  // until the balancer leaves out a replica that is gone
  double timeout = 5;           // of a request; 0: none

  // Queries by Zipf's law over so many; a replica that has seen a query lately answers it from its cache. 0: all
  // differ.
  size_t queries = 0;
  double zipf = 1.0;
  size_t cached_requests = 0;  // that a replica's cache has room for

  double dies_every = 0;      // seconds, of one replica, on the average; 0: never
  double start_seconds = 10;  // until one that died, or was added, takes requests

  // Replicas between least and most so that each has so many seconds of work queued; 0: always `replicas`.
  double backlog_seconds = 0;
  size_t least = 1, most = 1000;
  double load_step_at = 0, load_step = 1;  // from then on so many times the requests

  schedule::PlannerOptions planner;
  uint64_t seed = 1;
};

struct FleetReport {
  size_t requests = 0, answered = 0, refused = 0, late = 0, lost = 0, cached = 0;
  double p50 = 0, p95 = 0, p99 = 0, p999 = 0;  // seconds, of answered requests
  double busy = 0;                             // share of the replicas' time that engines computed
  double replicas = 0;                         // on the average
  size_t most_replicas = 0;
};

FleetReport simulate_fleet(const FleetOptions& options);

}  // namespace rerank
