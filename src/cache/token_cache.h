// Token ids of documents seen before, so that a hot document is not tokenized again for another query. Key: a 128-bit
// hash of the text. Sharded and thread-safe; bounded in bytes (cache/sieve.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace rerank::cache {

class TokenCache {
 public:
  // `max_bytes` 0: nothing is ever kept.
  explicit TokenCache(size_t max_bytes);
  ~TokenCache();

  // Appends the ids to `ids`; false when they are not there.
  bool find(const Hash128& text, std::vector<int32_t>& ids);
  void insert(const Hash128& text, const std::vector<int32_t>& ids);

  // From now on it keeps no more than so many.
  void limit(size_t max_bytes);

  bool enabled() const { return !shards_.empty(); }
  size_t bytes() const;

 private:
  struct Shard;
  static constexpr size_t kShards = 8;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace rerank::cache
