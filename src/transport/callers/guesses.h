// Slows down who tries keys. Thread-safe.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "observe/bucket.h"

namespace rerank::transport {

// A client address may be wrong 20 times at once, and once a second: further keys are refused without a look at them,
// so that a right one does not show. Those that this address has been right with before are let in, so that who shares
// an address with a guesser (a proxy's) is not shut out.
class Guesses {
 public:
  bool refuses(const std::string& peer, std::string_view secret, TimePoint now = Clock::now());
  void was_wrong(const std::string& peer, TimePoint now = Clock::now());
  void was_right(const std::string& peer, std::string_view secret);

 private:
  struct Peer {
    observe::Bucket chances;
    std::vector<Hash128> right;  // keys it has been right with, the last few
  };
  void make_room(TimePoint now);

  const HashKey key_ = HashKey::random();
  std::mutex mutex_;
  std::unordered_map<std::string, Peer> peers_;  // those that have been wrong lately, or right; guarded by mutex_
};

}  // namespace rerank::transport
