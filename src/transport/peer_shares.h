// How many connections, or other things, each client address has. Thread-safe.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

namespace rerank::transport {

class PeerShares {
 public:
  // One peer has `most` at most.
  explicit PeerShares(size_t most) : most_(most) {}

  // False: `peer`, as peer_of() (memory_budget.h) has it, has its share.
  bool take(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    size_t& count = counts_[peer];
    if (count >= most_) return false;
    ++count;
    return true;
  }
  // One of those that take() gave.
  void give_back(const std::string& peer) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(peer);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }

 private:
  const size_t most_;
  std::mutex mutex_;
  std::unordered_map<std::string, size_t> counts_;  // above 0; guarded by mutex_
};

// Of `all` connections, how many one address may have: half, so that one cannot shut all others out.
inline size_t share_of_one_peer(size_t all) { return all / 2 + all % 2; }

}  // namespace rerank::transport
