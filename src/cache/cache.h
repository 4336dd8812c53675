// Exact scores of pairs seen before: hash of everything a logit depends on -> the logit. Sharded and thread-safe;
// bounded in bytes (cache/sieve.h); an entry lives at most `ttl`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/hash.h"
#include "rerank/types.h"

namespace rerank::cache {

struct CachedScore {
  float logit = 0;
  uint32_t tokens = 0;
  bool truncated = false;
};

class PairCache {
 public:
  // `max_bytes` 0: nothing is ever kept.
  PairCache(size_t max_bytes, std::chrono::seconds ttl);
  ~PairCache();

  std::optional<CachedScore> find(const Hash128& key, TimePoint now);
  // Returns how many entries had to go for it.
  size_t insert(const Hash128& key, const CachedScore& score, TimePoint now);

  // From now on it keeps no more than so many.
  void limit(size_t max_bytes);

  bool enabled() const { return enabled_; }
  size_t entries() const;
  size_t bytes() const { return entries() * kEntryBytes; }

  // What one entry takes, its share of the hash table included.
  static constexpr size_t kEntryBytes = 96;

 private:
  struct Shard;
  Shard& shard_of(const Hash128& key);

  static constexpr size_t kShards = 16;
  bool enabled_;
  std::chrono::seconds ttl_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace rerank::cache
