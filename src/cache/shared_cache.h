// The second level of the pair cache: a Redis or Valkey server through which replicas share scores. Keys are the hashes
// of cache/cache.h, so that servers with another model, precision or option never meet.
//
// One thread speaks to it: lookups are pipelined MGETs, writes are SETs with an expiry from a bounded queue. Nothing
// here can fail a request: a lookup that is not answered within the timeout finds nothing, and then the server is left
// alone (lookups find nothing at once, writes are dropped) until it answers a PING again, which is tried ever more
// seldom. What it answers is not trusted: anything that is not a score of ours is as if it were not there.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "cache/cache.h"
#include "cache/name_lookup.h"
#include "rerank/status.h"

namespace rerank {
class Metrics;
}

namespace rerank::cache {

struct SharedCacheOptions {
  std::string url;  // redis://[[user]:password@]host[:port][/database], or valkey://
  std::chrono::milliseconds timeout{25};
  std::chrono::seconds ttl{86400};
  size_t max_waiting_lookups = 1024;  // requests; more find nothing
  size_t max_waiting_writes = 65536;  // pairs, about 100 bytes each; more are dropped: they can be computed again
  // How long an answer about the host's name is waited for at a time. Nothing else waits for it.
  std::chrono::milliseconds name_patience{5000};
  Resolve resolve = nullptr;  // what looks it up; null: the system
};

// A score as the server keeps it, in 12 bytes; null for what is none.
std::string shared_value_of(const CachedScore& score);
std::optional<CachedScore> read_shared_value(std::string_view value);

class SharedCache {
 public:
  // Per key: its score, if it was there. Called once, on the cache's thread; must not block.
  using Found = std::function<void(std::vector<std::optional<CachedScore>>)>;

  // Errors: the URL is wrong. A server that does not answer is none. `metrics` may be null, else outlives it.
  static Result<std::unique_ptr<SharedCache>> open(const SharedCacheOptions& options, Metrics* metrics);

  virtual ~SharedCache() = default;

  // False: the server is not there at present, and `found` will not be called.
  virtual bool find(std::vector<Hash128> keys, Found found) = 0;
  virtual void store(const std::vector<std::pair<Hash128, CachedScore>>& scores) = 0;

  // Answers what waits as not found; from now on finds nothing and stores nothing.
  virtual void stop() = 0;
};

}  // namespace rerank::cache
