// Running a load test: when requests are sent, and what became of each.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "load/target.h"
#include "load/workload.h"

namespace rerank::load {

enum class RequestOutcome : uint8_t {
  kAnswered,
  kRefused,
  kFailed,
  kUnanswered
};  // refused: 429, 503, 504 or their Status

// One request of the schedule. Seconds count from the start of the run.
struct Sample {
  double due = 0;    // when it should have been sent: latency counts from here, so that a target that stalls the
                     // sender is not spared the requests it delayed (coordinated omission)
  double done = -1;  // when its answer was complete; below 0: not by the end
  RequestOutcome outcome = RequestOutcome::kUnanswered;
  int http_status = 0;
  uint32_t documents = 0;
  uint64_t tokens = 0;
};

struct LoadRun {
  double offered = 0;  // requests per second asked for; 0: as fast as clients got answers
  size_t clients = 0;  // 0: open loop
  double seconds = 0;  // from the first request due to the end of the load
  std::vector<Sample> samples;
  std::map<std::string, double> stage_ms;  // sums over answered requests, of targets that report them
  Status first_error;                      // of the first request that was neither answered nor refused
};

// Told some ten times a second.
using Watch = std::function<void(size_t sent, size_t done)>;

// Both loops send the workload's requests `first`, `first` + 1, ...: loads of one target go on with the number where
// the load before ended (a run has a sample for each), so that no request that is meant to be new has been asked
// before.

// Open loop: each request is sent when its time has come, whatever became of the ones before it. Ends when all are
// answered or `grace_seconds` after the last.
struct OpenLoop {
  std::vector<double> due;  // seconds from the start, rising
  double grace_seconds = 60;
  uint64_t first = 0;
};
LoadRun drive_open(Target& target, const Workload& workload, const OpenLoop& loop, const Watch& watch);

struct ClosedLoop {
  size_t clients = 1;  // each sends its next request when it has its answer
  double seconds = 8;  // no request is sent after this
  uint64_t first = 0;
};
LoadRun drive_closed(Target& target, const Workload& workload, const ClosedLoop& loop, const Watch& watch);

}  // namespace rerank::load
