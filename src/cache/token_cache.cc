#include "cache/token_cache.h"

#include <mutex>

#include "cache/sieve.h"

namespace rerank::cache {
namespace {

constexpr size_t kEntryBytes = 128;   // of an entry besides its ids
constexpr size_t kLargestShare = 16;  // no document takes more than this part of a shard

}  // namespace

struct TokenCache::Shard {
  explicit Shard(size_t bytes) : max_entry_bytes(bytes / kLargestShare), texts(bytes) {}
  const size_t max_entry_bytes;
  std::mutex mutex;
  Sieve<std::shared_ptr<const std::vector<int32_t>>> texts;
};

TokenCache::TokenCache(size_t max_bytes) {
  if (max_bytes == 0) return;
  for (size_t i = 0; i < kShards; ++i) shards_.push_back(std::make_unique<Shard>(max_bytes / kShards));
}

TokenCache::~TokenCache() = default;

bool TokenCache::find(const Hash128& text, std::vector<int32_t>& ids) {
  Shard& shard = *shards_[text.high % kShards];
  std::shared_ptr<const std::vector<int32_t>> found;
  {
    std::lock_guard lock(shard.mutex);
    if (const auto* entry = shard.texts.find(text)) found = *entry;
  }
  if (found) ids.insert(ids.end(), found->begin(), found->end());
  return found != nullptr;
}

void TokenCache::insert(const Hash128& text, const std::vector<int32_t>& ids) {
  Shard& shard = *shards_[text.high % kShards];
  const size_t bytes = kEntryBytes + ids.size() * sizeof(int32_t);
  if (bytes > shard.max_entry_bytes) return;
  auto copy = std::make_shared<const std::vector<int32_t>>(ids.begin(), ids.end());
  std::lock_guard lock(shard.mutex);
  shard.texts.insert(text, std::move(copy), bytes);
}

void TokenCache::limit(size_t max_bytes) {
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    shard->texts.limit(max_bytes / kShards);
  }
}

size_t TokenCache::bytes() const {
  size_t total = 0;
  for (const auto& shard : shards_) {
    std::lock_guard lock(shard->mutex);
    total += shard->texts.bytes();
  }
  return total;
}

}  // namespace rerank::cache
