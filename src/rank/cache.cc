#include "rank/cache.h"

#include <list>
#include <mutex>
#include <unordered_map>

namespace rerank {
namespace {

struct Entry {
  Hash128 key;
  CachedScore score;
  TimePoint born;
  bool visited = false;
};

struct KeyHash {
  size_t operator()(const Hash128& key) const { return static_cast<size_t>(key.low); }
};

}  // namespace

struct PairCache::Shard {
  std::mutex mutex;
  std::list<Entry> queue;  // newest first
  std::unordered_map<Hash128, std::list<Entry>::iterator, KeyHash> index;
  std::list<Entry>::iterator hand = queue.end();  // end(): starts at the oldest

  void erase(std::list<Entry>::iterator entry) {
    if (hand == entry) hand = entry == queue.begin() ? queue.end() : std::prev(entry);
    index.erase(entry->key);
    queue.erase(entry);
  }

  void evict_one() {
    auto entry = hand == queue.end() ? std::prev(queue.end()) : hand;
    while (entry->visited) {
      entry->visited = false;
      entry = entry == queue.begin() ? std::prev(queue.end()) : std::prev(entry);
    }
    hand = entry;
    erase(entry);
  }
};

PairCache::PairCache(size_t max_bytes, std::chrono::seconds ttl)
    : max_entries_per_shard_(max_bytes / kEntryBytes / kShards), ttl_(ttl) {
  for (size_t i = 0; i < kShards; ++i) shards_.push_back(std::make_unique<Shard>());
}

PairCache::~PairCache() = default;

PairCache::Shard& PairCache::shard_of(const Hash128& key) { return *shards_[key.high % kShards]; }

std::optional<CachedScore> PairCache::find(const Hash128& key, TimePoint now) {
  if (!enabled()) return std::nullopt;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.index.find(key);
  if (found == shard.index.end()) return std::nullopt;
  if (now - found->second->born > ttl_) {
    shard.erase(found->second);
    return std::nullopt;
  }
  found->second->visited = true;
  return found->second->score;
}

size_t PairCache::insert(const Hash128& key, const CachedScore& score, TimePoint now) {
  if (!enabled()) return 0;
  Shard& shard = shard_of(key);
  std::lock_guard lock(shard.mutex);
  if (auto found = shard.index.find(key); found != shard.index.end()) {
    found->second->score = score;
    found->second->born = now;
    return 0;
  }
  size_t evicted = 0;
  for (; shard.queue.size() >= max_entries_per_shard_; ++evicted) shard.evict_one();
  shard.queue.push_front({key, score, now});
  shard.index[key] = shard.queue.begin();
  return evicted;
}

size_t PairCache::entries() const {
  size_t total = 0;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    total += shard->queue.size();
  }
  return total;
}

}  // namespace rerank
