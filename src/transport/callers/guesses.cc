#include "transport/callers/guesses.h"

#include <algorithm>

namespace rerank::transport {
namespace {

constexpr double kRate = 1, kAtOnce = 20;  // a person who mistypes, or a client that tries again, is not slowed
constexpr size_t kMostPeers = 10000;       // more are not known
constexpr size_t kMostRight = 16;

}  // namespace

bool Guesses::refuses(const std::string& peer, std::string_view secret, TimePoint now) {
  const Hash128 hash = keyed_hash(key_, secret);
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end() || !found->second.chances.empty(now)) return false;
  return std::find(found->second.right.begin(), found->second.right.end(), hash) == found->second.right.end();
}

void Guesses::was_wrong(const std::string& peer, TimePoint now) {
  const std::lock_guard lock(mutex_);
  make_room(now);
  peers_.try_emplace(peer, Peer{observe::Bucket(kRate, kAtOnce, now), {}}).first->second.chances.take(now);
}

void Guesses::was_right(const std::string& peer, std::string_view secret) {
  const Hash128 hash = keyed_hash(key_, secret);
  const std::lock_guard lock(mutex_);
  make_room(Clock::now());
  auto& right = peers_.try_emplace(peer, Peer{observe::Bucket(kRate, kAtOnce), {}}).first->second.right;
  if (std::find(right.begin(), right.end(), hash) != right.end()) return;
  if (right.size() == kMostRight) right.erase(right.begin());
  right.push_back(hash);
}

// Forgets those whose guesses are long ago, and then anybody, rather than grow.
void Guesses::make_room(TimePoint now) {
  if (peers_.size() < kMostPeers) return;
  std::erase_if(peers_, [&](auto& entry) { return entry.second.chances.full(now); });
  if (peers_.size() >= kMostPeers) peers_.clear();
}

}  // namespace rerank::transport
