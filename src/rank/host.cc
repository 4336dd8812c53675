#include "rank/host.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cache/redis_url.h"
#include "engine/cpu/topology.h"

namespace rerank::rank {
namespace {

size_t compute_threads(const HostOptions& options) {
  return options.threads != 0 ? options.threads : available_threads();
}

size_t tokenizer_threads(const HostOptions& options) {
  return options.tokenizer_threads != 0 ? options.tokenizer_threads : compute_threads(options);
}

}  // namespace

Host::Host(const HostOptions& options, std::shared_ptr<cache::SharedCache> shared)
    : tokenizers(std::make_shared<WorkerPool>(tokenizer_threads(options))),
      shared_cache(std::move(shared)),
      caches_(options.caches),
      threads_(compute_threads(options)),
      pin_threads_(options.pin_threads),
      shared_part_{
          std::make_shared<cache::PairCache>(caches_.cache_bytes, std::chrono::seconds(caches_.cache_ttl_seconds)),
          std::make_shared<cache::TokenCache>(caches_.token_cache_bytes), nullptr} {}

std::shared_ptr<Team> Host::team() {
  namespace cpu = engine::cpu;
  const std::lock_guard lock(mutex_);
  if (!team_) {
    auto cpus = pin_threads_ ? cpu::cpus_for(cpu::nodes(), threads_) : std::vector<int>();
    team_ = std::make_shared<Team>(threads_, std::move(cpus));
  }
  return team_;
}

std::shared_ptr<schedule::Turns> Host::turns_at(const std::string& place, size_t slots) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<schedule::Turns>& kept = turns_[place];
  auto turns = kept.lock();
  if (!turns) kept = turns = schedule::Turns::make(slots);
  return turns;
}

std::shared_ptr<void> Host::hold_weights(uint64_t bytes) {
  *held_weights_ += bytes;
  return {nullptr, [held = held_weights_, bytes](void*) { *held -= bytes; }};
}

Result<std::shared_ptr<Host>> Host::make(const HostOptions& options, Metrics* metrics) {
  ASSIGN_OR_RETURN(auto shared, open_shared_cache(options.caches, metrics));
  std::shared_ptr<Host> host(new Host(options, std::move(shared)));
  if (metrics == nullptr) return host;
  Gauge& pairs = metrics->gauge("rerankd_cache_bytes", "Memory of the pair cache.");
  Gauge& tokens = metrics->gauge("rerankd_token_cache_bytes", "Memory of the token cache.");
  metrics->on_collect([part = host->shared_part_, &pairs, &tokens] {
    pairs.set(static_cast<double>(part.pairs->bytes()));
    tokens.set(static_cast<double>(part.tokens->bytes()));
  });
  return host;
}

Result<Host::Caches> Host::caches_for(const std::shared_ptr<Host>& host, double share) {
  if (share <= 0) return host->shared_part_;
  {
    const std::lock_guard lock(host->mutex_);
    if (host->reserved_ + share > 1 + 1e-9) {
      return absl::InvalidArgumentError(str_cat("cache-share ", share, ": the models' shares add up to more than 1"));
    }
    host->reserved_ += share;
    host->limit_shared_part();
  }
  const auto part = [&](size_t bytes) { return static_cast<size_t>(share * static_cast<double>(bytes)); };
  return Caches{std::make_shared<cache::PairCache>(part(host->caches_.cache_bytes),
                                                   std::chrono::seconds(host->caches_.cache_ttl_seconds)),
                std::make_shared<cache::TokenCache>(part(host->caches_.token_cache_bytes)),
                std::shared_ptr<void>(nullptr, [host, share](void*) { host->give_back(share); })};
}

void Host::give_back(double share) {
  const std::lock_guard lock(mutex_);
  reserved_ = std::max(0.0, reserved_ - share);
  limit_shared_part();
}

// Under the lock.
void Host::limit_shared_part() {
  const auto left = [&](size_t bytes) { return static_cast<size_t>((1 - reserved_) * static_cast<double>(bytes)); };
  shared_part_.pairs->limit(left(caches_.cache_bytes));
  shared_part_.tokens->limit(left(caches_.token_cache_bytes));
}

Result<std::unique_ptr<cache::SharedCache>> open_shared_cache(const CacheOptions& caches, Metrics* metrics) {
  if (caches.cache_url.empty()) return std::unique_ptr<cache::SharedCache>();
  cache::SharedCacheOptions shared;
  shared.url = caches.cache_url;
  shared.timeout = std::chrono::milliseconds(std::max<size_t>(1, caches.cache_timeout_ms));
  shared.ttl = std::chrono::seconds(std::max<size_t>(1, caches.cache_ttl_seconds));
  return cache::SharedCache::open(shared, metrics);
}

HashKey text_key(const CacheOptions& caches, std::string_view texts) {
  if (caches.cache_url.empty()) {
    const Hash128 secret = keyed_hash(HashKey::of_process(), texts);
    return HashKey::made_of(secret.hex());
  }
  std::string secret = caches.cache_secret;
  if (const auto url = cache::parse_redis_url(caches.cache_url); secret.empty() && url.ok()) secret = url->password;
  if (secret.empty()) {
    log_warning(
        "--cache-url has no password and there is no --cache-secret: who knows how keys are made can make two "
        "texts that have one");
  }
  return HashKey::made_of(str_cat("rerankd pair cache ", secret, " ", texts));
}

}  // namespace rerank::rank
