#include "cache/cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <list>
#include <random>
#include <thread>
#include <unordered_map>

namespace rerank::cache {
namespace {

using std::chrono::seconds;

Hash128 key(uint64_t n) { return hash128(std::to_string(n)); }

TEST(PairCacheTest, FindsWhatWasPutAndForgetsWhatIsOld) {
  PairCache cache(1 << 20, seconds(10));
  const TimePoint now = Clock::now();
  EXPECT_FALSE(cache.find(key(1), now));
  cache.insert(key(1), {1.5f, 7, true}, now);
  auto found = cache.find(key(1), now + seconds(10));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->logit, 1.5f);
  EXPECT_EQ(found->tokens, 7u);
  EXPECT_TRUE(found->truncated);
  EXPECT_FALSE(cache.find(key(1), now + seconds(11)));
  EXPECT_EQ(cache.entries(), 0u);
}

TEST(PairCacheTest, StaysWithinItsBytes) {
  PairCache cache(100'000, seconds(1000));
  const TimePoint now = Clock::now();
  size_t evicted = 0;
  for (uint64_t i = 0; i < 5000; ++i) evicted += cache.insert(key(i), {}, now);
  EXPECT_LE(cache.bytes(), 100'000u);
  EXPECT_GT(cache.bytes(), 90'000u);
  EXPECT_EQ(cache.entries() + evicted, 5000u);
  PairCache off(0, seconds(1000));
  off.insert(key(1), {}, now);
  EXPECT_FALSE(off.find(key(1), now));
}

// Hit rate of plain LRU with as many entries, for comparison.
double lru_hit_rate(const std::vector<uint64_t>& trace, size_t capacity) {
  std::list<uint64_t> order;
  std::unordered_map<uint64_t, std::list<uint64_t>::iterator> index;
  size_t hits = 0;
  for (uint64_t n : trace) {
    if (auto found = index.find(n); found != index.end()) {
      ++hits;
      order.splice(order.begin(), order, found->second);
      continue;
    }
    if (order.size() >= capacity) {
      index.erase(order.back());
      order.pop_back();
    }
    order.push_front(n);
    index[n] = order.begin();
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

TEST(PairCacheTest, KeepsWhatIsAskedForAgainBetterThanLru) {
  // Questions by Zipf's law, 20 documents each, over a cache of a tenth of all pairs.
  std::mt19937_64 random(11);
  std::vector<double> weights;
  for (int i = 1; i <= 2000; ++i) weights.push_back(std::pow(i, -0.9));
  std::discrete_distribution<uint64_t> question(weights.begin(), weights.end());
  std::vector<uint64_t> trace;
  for (int i = 0; i < 10000; ++i) {
    const uint64_t q = question(random);
    for (uint64_t d = 0; d < 20; ++d) trace.push_back(q * 100 + d);
  }
  const size_t capacity = 4000 / 16 * 16;
  PairCache cache(capacity * PairCache::kEntryBytes, seconds(1000));
  const TimePoint now = Clock::now();
  size_t hits = 0;
  for (uint64_t n : trace) {
    if (cache.find(key(n), now)) {
      ++hits;
    } else {
      cache.insert(key(n), {}, now);
    }
  }
  const double sieve = static_cast<double>(hits) / static_cast<double>(trace.size());
  const double lru = lru_hit_rate(trace, capacity);
  std::printf("  hit rate on a Zipf(0.9) trace, cache of a tenth: SIEVE %.3f, LRU %.3f\n", sieve, lru);
  EXPECT_GT(sieve, lru);
}

TEST(PairCacheTest, ManyThreads) {
  PairCache cache(200'000, seconds(1000));
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      const TimePoint now = Clock::now();
      for (uint64_t i = 0; i < 20000; ++i) {
        const uint64_t n = (i * (t + 1)) % 3000;
        if (auto found = cache.find(key(n), now)) {
          EXPECT_EQ(found->tokens, n);
        } else {
          cache.insert(key(n), {0, static_cast<uint32_t>(n), false}, now);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace rerank::cache
