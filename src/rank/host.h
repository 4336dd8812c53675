// What a process has once, however many models it serves: the threads that compute and tokenize, the caches, and whose
// turn it is to compute. Outlives the rerankers that were opened with it. Thread-safe.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/hash.h"
#include "base/team.h"
#include "base/worker_pool.h"
#include "cache/cache.h"
#include "cache/shared_cache.h"
#include "cache/token_cache.h"
#include "rerank/options.h"
#include "rerank/status.h"
#include "schedule/turns/turns.h"

namespace rerank {
class Metrics;
}

namespace rerank::rank {

class Host {
 public:
  // `metrics` may be null. Errors: --cache-url is wrong.
  static Result<std::shared_ptr<Host>> make(const HostOptions& options, Metrics* metrics);

  // What one model keeps what it has seen in: the part that all models share, or one of its own, which is given back
  // with the last pointer to it.
  struct Caches {
    std::shared_ptr<cache::PairCache> pairs;
    std::shared_ptr<cache::TokenCache> tokens;
    std::shared_ptr<void> share;  // keeps the models' own parts apart from the shared one
  };
  // InvalidArgument when the models' own shares would be more than the whole.
  static Result<Caches> caches_for(const std::shared_ptr<Host>& host, double share);

  // Of the cpu engine; made when it is first asked for.
  std::shared_ptr<Team> team();

  // Of the models whose engines compute at one place: "" is the host's threads, anything else names devices. `slots`:
  // batches that may be under way there at once, as the first model says that asks.
  std::shared_ptr<schedule::Turns> turns_at(const std::string& place, size_t slots);

  // Memory of packed weights counts until the last pointer to what this returns is gone.
  std::shared_ptr<void> hold_weights(uint64_t bytes);
  // What all models together have.
  uint64_t held_weights() const { return *held_weights_; }

  const std::shared_ptr<WorkerPool> tokenizers;
  const std::shared_ptr<cache::SharedCache> shared_cache;  // may be null

 private:
  Host(const HostOptions& options, std::shared_ptr<cache::SharedCache> shared);
  void give_back(double share);
  void limit_shared_part();

  const CacheOptions caches_;
  const size_t threads_;
  const bool pin_threads_;
  std::mutex mutex_;
  std::shared_ptr<Team> team_;                                   // guarded by mutex_
  std::map<std::string, std::weak_ptr<schedule::Turns>> turns_;  // by place; guarded by mutex_
  const std::shared_ptr<std::atomic<uint64_t>> held_weights_ = std::make_shared<std::atomic<uint64_t>>(0);
  double reserved_ = 0;  // of the caches, by models with parts of their own; guarded by mutex_
  Caches shared_part_;
};

// The shared cache that --cache-url names; null: none. `metrics` may be null.
Result<std::unique_ptr<cache::SharedCache>> open_shared_cache(const CacheOptions& caches, Metrics* metrics);

// By what texts are known to caches: to replicas that share one the same. `texts`: what tells tokenizers apart.
HashKey text_key(const CacheOptions& caches, std::string_view texts);

}  // namespace rerank::rank
