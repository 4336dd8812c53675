#include "cache/shared_cache.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "base/guarded.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cache/redis_link.h"

namespace rerank::cache {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{100}, kLongestPause{5000};
// A connection that lasted this long was sound: after it, trying again begins with the first pause.
constexpr milliseconds kSound{2000};
// What is asked at once. Few writes, since lookups that come meanwhile wait for their answers.
constexpr size_t kLookupsAtOnce = 64, kWritesAtOnce = 256;
constexpr size_t kMagicBytes = 3, kValueBytes = 12;
constexpr char kMagic[] = "RR1";  // and a byte for `truncated`, then logit and tokens, little-endian

std::string key_of(const Hash128& hash) { return "rerankd:" + hash.hex(); }

}  // namespace

std::string shared_value_of(const CachedScore& score) {
  std::string value(kMagic, kMagicBytes);
  value += static_cast<char>(score.truncated);
  value.append(reinterpret_cast<const char*>(&score.logit), 4);
  value.append(reinterpret_cast<const char*>(&score.tokens), 4);
  return value;
}

std::optional<CachedScore> read_shared_value(std::string_view value) {
  if (value.size() != kValueBytes || value.compare(0, kMagicBytes, kMagic) != 0) return std::nullopt;
  const auto truncated = static_cast<unsigned char>(value[kMagicBytes]);
  CachedScore score;
  std::memcpy(&score.logit, value.data() + 4, 4);
  std::memcpy(&score.tokens, value.data() + 8, 4);
  if (truncated > 1 || !std::isfinite(score.logit) || score.tokens == 0 || score.tokens > (1u << 24)) {
    return std::nullopt;
  }
  score.truncated = truncated == 1;
  return score;
}

namespace {

struct SharedCacheMetrics {
  explicit SharedCacheMetrics(Metrics& m)
      : up(m.gauge("rerankd_shared_cache_up", "1 while the shared cache answers, else 0.")),
        hits(m.counter("rerankd_shared_cache_hits_total", "Pairs whose score was in the shared cache.")),
        misses(m.counter("rerankd_shared_cache_misses_total", "Pairs looked up and not found in the shared cache.")),
        invalid(m.counter("rerankd_shared_cache_invalid_total", "Values in the shared cache that are no scores.")),
        failures(m.counter("rerankd_shared_cache_failures_total", "Times the shared cache was slow, gone or wrong.")),
        stored(m.counter("rerankd_shared_cache_stored_total", "Scores written to the shared cache.")),
        dropped(m.counter("rerankd_shared_cache_dropped_total", "Scores not written: it was slow, gone or full.")),
        seconds(m.histogram("rerankd_shared_cache_seconds", "Time of one lookup.", latency_buckets_seconds())) {}
  Gauge& up;
  Counter &hits, &misses, &invalid, &failures, &stored, &dropped;
  Histogram& seconds;
};

class RedisCache : public SharedCache {
 public:
  RedisCache(const SharedCacheOptions& options, RedisUrl url, Metrics* metrics)
      : options_(options),
        url_(std::move(url)),
        ttl_text_(std::to_string(milliseconds(options.ttl).count())),
        names_(options.resolve) {
    if (metrics != nullptr) metrics_ = std::make_unique<SharedCacheMetrics>(*metrics);
    thread_ = std::thread([this] { serve(); });
  }
  ~RedisCache() override { stop(); }

  bool find(std::vector<Hash128> keys, Found found) override {
    {
      std::lock_guard lock(mutex_);
      if (!up_ || stopping_ || lookups_.size() >= options_.max_waiting_lookups) return false;
      lookups_.push_back({std::move(keys), std::move(found), Clock::now()});
    }
    wake_.notify_one();
    return true;
  }

  void store(const std::vector<std::pair<Hash128, CachedScore>>& scores) override {
    size_t taken = 0;
    {
      std::lock_guard lock(mutex_);
      if (up_ && !stopping_) {
        taken = std::min(scores.size(),
                         options_.max_waiting_writes - std::min(options_.max_waiting_writes, writes_.size()));
        writes_.insert(writes_.end(), scores.begin(), scores.begin() + static_cast<ptrdiff_t>(taken));
      }
    }
    if (taken > 0) wake_.notify_one();
    if (metrics_) metrics_->dropped.add(static_cast<double>(scores.size() - taken));
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    names_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  struct Lookup {
    std::vector<Hash128> keys;
    Found found;
    TimePoint begin;
  };
  using Write = std::pair<Hash128, CachedScore>;

  void serve() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (!link_) {
        wake_.wait_until(lock, retry_at_, [&] { return stopping_; });
        if (stopping_) break;
        lock.unlock();
        if (const Status status = guarded([&] { connect(); }); !status.ok()) fail(status);
        lock.lock();
        up_ = link_ != nullptr;
        continue;
      }
      wake_.wait(lock, [&] { return stopping_ || !lookups_.empty() || !writes_.empty(); });
      std::vector<Lookup> lookups = first_of(lookups_, kLookupsAtOnce);
      const std::vector<Write> writes = first_of(writes_, kWritesAtOnce);
      lock.unlock();
      const Status status = guarded([&] { return exchange(lookups, writes); });
      if (!status.ok()) fail(status);
      give_up(lookups);
      lock.lock();
      up_ = link_ != nullptr;
      if (up_) continue;
      lookups = first_of(lookups_, SIZE_MAX);
      if (metrics_) metrics_->dropped.add(static_cast<double>(writes_.size()));
      writes_.clear();
      lock.unlock();
      give_up(lookups);
      lock.lock();
    }
    up_ = false;
    std::vector<Lookup> rest = first_of(lookups_, SIZE_MAX);
    lock.unlock();
    give_up(rest);
  }

  template <class T>
  static std::vector<T> first_of(std::deque<T>& queue, size_t limit) {
    const auto end = queue.begin() + static_cast<ptrdiff_t>(std::min(limit, queue.size()));
    std::vector<T> taken(std::make_move_iterator(queue.begin()), std::make_move_iterator(end));
    queue.erase(queue.begin(), end);
    return taken;
  }

  // To the first of its addresses that answers.
  Result<std::unique_ptr<RedisLink>> connect_to_any() {
    ASSIGN_OR_RETURN(const Addresses addresses, names_.find(url_.host, options_.name_patience));
    Result<std::unique_ptr<RedisLink>> link = absl::UnavailableError("no address");
    for (const std::string& address : addresses) {
      link = RedisLink::connect(url_, address, options_.timeout);
      if (link.ok()) break;
    }
    return link;
  }

  void connect() {
    auto link = connect_to_any();
    if (!link.ok()) return fail(link.status());
    link_ = std::move(*link);
    connected_at_ = Clock::now();
    if (metrics_) metrics_->up.set(1);
    log_info(str_cat("shared cache ", url_.shown(), logged_gone_ ? " is back" : " is there"));
    logged_gone_ = false;
  }

  // Leaves the server alone for a while.
  void fail(const Status& status) {
    if (link_ && Clock::now() - connected_at_ > kSound) pause_ = kFirstPause;
    link_.reset();
    retry_at_ = Clock::now() + pause_;
    pause_ = std::min(2 * pause_, kLongestPause);
    if (metrics_) {
      metrics_->up.set(0);
      metrics_->failures.add();
    }
    if (logged_gone_) return;  // one line, not one per try
    logged_gone_ = true;
    log_warning(str_cat("shared cache ", url_.shown(), ": ", message_of(status), "; going on without it"));
  }

  // Sends everything, then reads the answers: lookups first, each completed as soon as it is there.
  Status exchange(std::vector<Lookup>& lookups, const std::vector<Write>& writes) {
    std::vector<std::string_view> words;
    for (const Lookup& lookup : lookups) {
      std::vector<std::string> keys;
      for (const Hash128& key : lookup.keys) keys.push_back(key_of(key));
      words.assign(1, "MGET");
      words.insert(words.end(), keys.begin(), keys.end());
      link_->add(words);
    }
    for (const auto& [hash, score] : writes) {
      const std::string key = key_of(hash), value = shared_value_of(score);
      link_->add({"SET", key, value, "PX", ttl_text_});
    }
    RETURN_IF_ERROR(link_->flush());
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    for (Lookup& lookup : lookups) {
      ASSIGN_OR_RETURN(auto reply, link_->read(deadline));
      if (reply.kind != RedisReply::Kind::kList || reply.items.size() != lookup.keys.size()) {
        return absl::UnavailableError(str_cat("not an answer to MGET: ", reply.text.substr(0, 100)));
      }
      complete(lookup, reply);
    }
    Status refused;
    for (size_t i = 0; i < writes.size(); ++i) {
      auto reply = link_->read(deadline);
      if (!reply.ok()) {
        if (metrics_) metrics_->dropped.add(static_cast<double>(writes.size() - i));
        return reply.status();
      }
      const bool ok = reply->kind == RedisReply::Kind::kText;
      if (metrics_) (ok ? metrics_->stored : metrics_->dropped).add();
      if (!ok) refused = absl::UnavailableError(str_cat("SET: ", reply->text.substr(0, 100)));
    }
    return refused;  // out of memory, a read-only replica: no better next time
  }

  void complete(Lookup& lookup, const RedisReply& reply) {
    std::vector<std::optional<CachedScore>> scores(lookup.keys.size());
    size_t hits = 0, invalid = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (reply.items[i].kind == RedisReply::Kind::kNothing) continue;
      if (reply.items[i].kind == RedisReply::Kind::kText) scores[i] = read_shared_value(reply.items[i].text);
      ++(scores[i] ? hits : invalid);
    }
    if (metrics_) {
      metrics_->hits.add(static_cast<double>(hits));
      metrics_->misses.add(static_cast<double>(scores.size() - hits));
      metrics_->invalid.add(static_cast<double>(invalid));
      metrics_->seconds.observe(std::chrono::duration<double>(Clock::now() - lookup.begin).count());
    }
    std::exchange(lookup.found, nullptr)(std::move(scores));
  }

  // Lookups that are not completed yet find nothing.
  static void give_up(std::vector<Lookup>& lookups) {
    for (Lookup& lookup : lookups) {
      if (lookup.found) lookup.found(std::vector<std::optional<CachedScore>>(lookup.keys.size()));
    }
  }

  const SharedCacheOptions options_;
  const RedisUrl url_;
  const std::string ttl_text_;
  NameLookup names_;
  std::unique_ptr<SharedCacheMetrics> metrics_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool up_ = false, stopping_ = false;  // guarded by mutex_, as the queues
  std::deque<Lookup> lookups_;
  std::deque<Write> writes_;

  // The thread's own.
  std::unique_ptr<RedisLink> link_;
  milliseconds pause_ = kFirstPause;
  TimePoint retry_at_ = Clock::now(), connected_at_;
  bool logged_gone_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<SharedCache>> SharedCache::open(const SharedCacheOptions& options, Metrics* metrics) {
  RETURN_IF_ERROR(check_redis());
  ASSIGN_OR_RETURN(auto url, parse_redis_url(options.url));
  return std::make_unique<RedisCache>(options, std::move(url), metrics);
}

}  // namespace rerank::cache
