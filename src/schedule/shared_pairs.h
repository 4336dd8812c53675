// Which waiting pairs are equal (single-flight). Equal pairs of any requests make one shared pair. It is computed once,
// at the first of its members' queue positions, and all members get the logit. Pure; part of the planner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <unordered_map>

#include "base/hash.h"

namespace rerank::schedule {

// Where a request stands in the queue: higher priority first, then earlier time, then earlier arrival.
struct QueuePosition {
  int priority = 0;
  double time = 0;
  double rank = 0;       // among equal times: the request's id, or between two others'
  uint64_t request = 0;  // ids rise with arrival
  bool operator<(const QueuePosition& other) const {
    if (priority != other.priority) return priority > other.priority;
    if (time != other.time) return time < other.time;
    if (rank != other.rank) return rank < other.rank;
    return request < other.request;
  }
};

// `natural` if it lies between two neighbours in the queue (null: the queue's end), else a position that does.
QueuePosition between(const QueuePosition* before, QueuePosition natural, const QueuePosition* after);

struct SharedPairMember {
  QueuePosition position;
  uint32_t pair = 0;  // of request position.request
  bool operator<(const SharedPairMember& other) const {
    if (position < other.position) return true;
    return !(other.position < position) && pair < other.pair;
  }
};

class SharedPairs {
 public:
  // The members of one shared pair, in the order of their positions. The first is the owner: the pair's work is counted
  // with its request. A tree: a client may send some hundred thousand equal pairs, and leave with them.
  using Members = std::set<SharedPairMember>;

  // The owner before and after the call; null: none. The pointers are good until the next call.
  struct Change {
    const SharedPairMember* before = nullptr;
    const SharedPairMember* after = nullptr;
  };
  Change join(const Hash128& key, const SharedPairMember& member);
  Change leave(const Hash128& key, const SharedPairMember& member);

  // Removes a shared pair with all its members; empty when there is none.
  Members take(const Hash128& key);

  bool waits(const Hash128& key) const { return shared_pairs_.contains(key); }
  const SharedPairMember* owner(const Hash128& key) const;

 private:
  std::unordered_map<Hash128, Members, Hash128Hasher> shared_pairs_;
  SharedPairMember before_;
};

}  // namespace rerank::schedule
