// Prints the tables of docs/scaling.md: fleet_simulation [--requests-per-second N] [--seed N]. With a rate: one row for
// each routing at that rate.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "simulation/fleet.h"

namespace rerank {
namespace {

const char* name_of(Routing routing) {
  return routing == Routing::kRoundRobin   ? "round robin"
         : routing == Routing::kTwoChoices ? "two choices"
                                           : "query hash";
}

void print(const char* what, const FleetOptions& options) {
  const FleetReport r = simulate_fleet(options);
  const auto share = [&](size_t n) {
    return r.requests == 0 ? 0.0 : 100.0 * static_cast<double>(n) / static_cast<double>(r.requests);
  };
  std::printf("| %s | %.0f | %.1f | %.0f %% | %.0f | %.0f | %.0f | %.3f %% | %.3f %% | %.0f %% |\n", what,
              options.requests_per_second, r.replicas, 100 * r.busy, 1000 * r.p50, 1000 * r.p99, 1000 * r.p999,
              share(r.refused + r.late), share(r.lost), share(r.cached));
  std::fflush(stdout);
}

void head(const char* title) {
  std::printf(
      "\n%s\n\n| what | requests/s | replicas | busy | P50 ms | P99 ms | P99.9 ms | refused or late | lost | from "
      "caches |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n",
      title);
}

// So many that engines are busy for that share of the time.
size_t replicas_for(const FleetOptions& options, double busy) {
  const double work = options.requests_per_second * static_cast<double>(options.documents) * options.tokens;
  return static_cast<size_t>(work / options.tokens_per_second / busy) + 1;
}

void tables(FleetOptions options, double only) {
  head("Routing, engines 70 % busy");
  for (const double rate : {10.0, 1000.0}) {
    if (only > 0 && rate != only) continue;
    options.requests_per_second = rate;
    options.replicas = replicas_for(options, 0.7);
    options.seconds = rate > 100 ? 30 : 300;
    for (const Routing routing : {Routing::kRoundRobin, Routing::kTwoChoices, Routing::kQueryHash}) {
      options.routing = routing;
      print(name_of(routing), options);
    }
  }
  options.routing = Routing::kTwoChoices;
  options.requests_per_second = 1000;
  options.seconds = 30;
  head("How busy, two choices");
  for (const double busy : {0.5, 0.7, 0.8, 0.9, 1.1}) {
    options.replicas = replicas_for(options, busy);
    char what[32];
    std::snprintf(what, sizeof what, "%.0f %% wanted", 100 * busy);
    print(what, options);
  }
  head("Caches: 100,000 different queries by Zipf's law (exponent 1), room for 10,000 requests in each replica");
  options.queries = 100000;
  options.cached_requests = 10000;
  options.replicas = replicas_for(options, 0.7);
  for (const Routing routing : {Routing::kTwoChoices, Routing::kQueryHash}) {
    options.routing = routing;
    print(name_of(routing), options);
  }
  options.routing = Routing::kTwoChoices;
  options.queries = options.cached_requests = 0;
  head("Replicas that die, each every ten minutes, back after 10 s");
  options.replicas = replicas_for(options, 0.7);
  options.dies_every = 600;
  for (const size_t tries : {1, 3}) {
    options.tries = tries;
    print(tries == 1 ? "no retries" : "two retries", options);
  }
  options.tries = 3;
  options.dies_every = 0;
  head("Twice the load at once, autoscaled on 0.4 s of backlog");
  options.requests_per_second = 100;
  options.seconds = 240;
  options.backlog_seconds = 0.4;
  options.replicas = options.least = replicas_for(options, 0.7);
  options.most = 4 * options.replicas;
  options.load_step_at = 60;
  options.load_step = 2;
  for (const double start : {5.0, 60.0, 200.0}) {
    options.start_seconds = start;
    char what[32];
    std::snprintf(what, sizeof what, "starts take %.0f s", start);
    print(what, options);
  }
}

}  // namespace
}  // namespace rerank

int main(int argc, char** argv) {
  rerank::FleetOptions options;
  double only = 0;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--requests-per-second") == 0) only = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--seed") == 0) options.seed = std::strtoull(argv[i + 1], nullptr, 10);
    if (std::strcmp(argv[i], "--tokens-per-second") == 0) options.tokens_per_second = std::atof(argv[i + 1]);
  }
  rerank::tables(options, only);
}
