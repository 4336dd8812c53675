#include "cache/cache.h"

#include <mutex>

#include "cache/sieve.h"

namespace rerank::cache {
namespace {

struct Dated {
  CachedScore score;
  TimePoint born;
};

}  // namespace

struct PairCache::Shard {
  explicit Shard(size_t max_bytes) : scores(max_bytes) {}
  std::mutex mutex;
  Sieve<Dated> scores;
};

PairCache::PairCache(size_t max_bytes, std::chrono::seconds ttl)
    : enabled_(max_bytes / kShards >= kEntryBytes), ttl_(ttl) {
  for (size_t i = 0; i < kShards; ++i) shards_.push_back(std::make_unique<Shard>(max_bytes / kShards));
}

PairCache::~PairCache() = default;

PairCache::Shard& PairCache::shard_of(const Hash128& key) { return *shards_[key.high % kShards]; }

std::optional<CachedScore> PairCache::find(const Hash128& key, TimePoint now) {
  if (!enabled()) return std::nullopt;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  const Dated* found = shard.scores.find(key);
  if (found == nullptr) return std::nullopt;
  if (now - found->born > ttl_) {
    shard.scores.erase(key);
    return std::nullopt;
  }
  return found->score;
}

size_t PairCache::insert(const Hash128& key, const CachedScore& score, TimePoint now) {
  if (!enabled()) return 0;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  return shard.scores.insert(key, {score, now}, kEntryBytes);
}

void PairCache::limit(size_t max_bytes) {
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    shard->scores.limit(max_bytes / kShards);
  }
}

size_t PairCache::entries() const {
  size_t total = 0;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    total += shard->scores.entries();
  }
  return total;
}

}  // namespace rerank::cache
