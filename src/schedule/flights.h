// Which waiting pairs are the same pair. Equal pairs of any requests make one flight; it is computed once, at the turn
// of whoever comes first, and all its members get the logit. Pure; part of the planner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/hash.h"

namespace rerank::schedule {

// Position of a request in the queue: higher priority first, then earlier time, then who came first.
struct Place {
  int priority = 0;
  double time = 0;
  double rank = 0;       // among equal times: the request's id, or between two others'
  uint64_t request = 0;  // ids rise with arrival
  bool operator<(const Place& other) const {
    if (priority != other.priority) return priority > other.priority;
    if (time != other.time) return time < other.time;
    if (rank != other.rank) return rank < other.rank;
    return request < other.request;
  }
};

// `natural` if it lies between two neighbours in the queue (null: the queue's end), else a place that does.
Place between(const Place* before, Place natural, const Place* after);

struct FlightMember {
  Place place;
  uint32_t pair = 0;  // of request place.request
  bool operator<(const FlightMember& other) const {
    if (place < other.place) return true;
    return !(other.place < place) && pair < other.pair;
  }
};

class Flights {
 public:
  // The members of one flight, in the order of their places. The first is the owner: the flight's work is counted with
  // its request, since it comes first.
  using Members = std::vector<FlightMember>;

  // Both tell who owns the flight before and after; null: nobody. The pointers live until the next call.
  struct Change {
    const FlightMember* before = nullptr;
    const FlightMember* after = nullptr;
  };
  Change join(const Hash128& key, const FlightMember& member);
  Change leave(const Hash128& key, const FlightMember& member);

  // Takes a whole flight out; empty when there is none.
  Members take(const Hash128& key);

  bool waits(const Hash128& key) const { return flights_.contains(key); }
  const FlightMember* owner(const Hash128& key) const;

 private:
  std::unordered_map<Hash128, Members, Hash128Hasher> flights_;
  FlightMember before_;
};

}  // namespace rerank::schedule
