#include "text/models/word_cache.h"

#include <algorithm>
#include <atomic>

namespace rerank::text {
namespace {

constexpr size_t kCachesPerThread = 4;

struct OwnedCache {
  uint64_t owner = 0;
  WordCache cache;
};

}  // namespace

uint64_t WordCache::new_owner() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

WordCache& WordCache::for_this_thread(uint64_t owner) {
  // Used last comes first.
  thread_local std::vector<std::unique_ptr<OwnedCache>> caches;
  if (!caches.empty() && caches.front()->owner == owner) return caches.front()->cache;
  auto it = std::find_if(caches.begin(), caches.end(), [&](const auto& c) { return c->owner == owner; });
  if (it == caches.end()) {
    if (caches.size() == kCachesPerThread) caches.pop_back();
    caches.push_back(std::make_unique<OwnedCache>());
    caches.back()->owner = owner;
    it = caches.end() - 1;
  }
  std::rotate(caches.begin(), it, it + 1);
  return caches.front()->cache;
}

}  // namespace rerank::text
