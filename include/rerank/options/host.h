// What a process has once, whatever it serves: threads, caches, folders for what can be made again.
#pragma once

#include <cstddef>
#include <string>

#include "rerank/options/option_info.h"
#include "rerank/options/watch.h"

namespace rerank {

struct CacheOptions {
  size_t cache_bytes = 64u << 20;
  static constexpr OptionInfo kCacheBytes =
      OptionInfo{"cache-bytes", "BYTES", "Limits",
                 "Memory for scores of pairs seen before, 96 bytes each; such a pair costs microseconds. 0: no cache."}
          .within(0, kMostBytes);

  size_t cache_ttl_seconds = 86400;
  static constexpr OptionInfo kCacheTtlSeconds =
      OptionInfo{
          "cache-ttl-seconds", "S", "Limits",
          "How long a cached score is used. Scores never go stale by themselves; lower it only to bound what is kept."}
          .within(0, 1000000000);

  size_t token_cache_bytes = 32u << 20;
  static constexpr OptionInfo kTokenCacheBytes =
      OptionInfo{
          "token-cache-bytes", "BYTES", "Limits",
          "Memory for token ids of documents seen before, 4 bytes a token: such a document is not tokenized again for "
          "another query. 0: none."}
          .within(0, kMostBytes);

  std::string cache_url;
  static constexpr OptionInfo kCacheUrl{
      "cache-url", "URL", "Limits",
      "A Redis or Valkey server that replicas share scores through: redis://[[user]:password@]host[:port][/db], or "
      "valkey://. When it is slow or gone, the server goes on without it. With a password, better set as "
      "RERANKD_CACHE_URL: flags can be seen by other users of the machine."};

  std::string cache_secret;
  static constexpr OptionInfo kCacheSecret{
      "cache-secret", "SECRET", "Limits",
      "Secret that keys in --cache-url are made with, the same for all replicas; better set as RERANKD_CACHE_SECRET. "
      "Without it, who may send texts can make two that have one key, and so have one scored as the other. Default: "
      "the password of --cache-url."};

  size_t cache_timeout_ms = 25;
  static constexpr OptionInfo kCacheTimeoutMs =
      OptionInfo{
          "cache-timeout-ms", "MS", "Limits",
          "How long a request waits for --cache-url. Then it is computed, and the shared cache is left alone for a "
          "while. About the time of computing a few pairs: waiting longer gains nothing."}
          .within(1, 60000);

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kCacheBytes, options.cache_bytes);
    visit_field(kCacheTtlSeconds, options.cache_ttl_seconds);
    visit_field(kTokenCacheBytes, options.token_cache_bytes);
    visit_field(kCacheUrl, options.cache_url);
    visit_field(kCacheSecret, options.cache_secret);
    visit_field(kCacheTimeoutMs, options.cache_timeout_ms);
  }
};

struct HostOptions {
  size_t threads = 0;
  static constexpr OptionInfo kThreads =
      OptionInfo{"threads", "N", "Engine",
                 "Compute threads. 0: one per core this process may use (cgroup limits count)."}
          .within(0, 4096);

  bool pin_threads = false;
  static constexpr OptionInfo kPinThreads{
      "pin-threads", "BOOL", "Engine",
      "The cpu engine's threads stay on one core each, NUMA node after NUMA node. For a machine, or a --cpuset, "
      "that nothing else uses: next to other work a pinned thread waits where another would move."};

  std::string weight_cache;
  static constexpr OptionInfo kWeightCache{
      "weight-cache", "DIR", "Engine",
      "Keep the cpu engine's packed weights in files there: later starts map them instead of packing, and processes "
      "that serve one model share their memory. A folder that only you can write. Default: none, for it takes as "
      "much disk as the weights, and on huge pages of its own memory a process is a little faster."};

  size_t weight_cache_bytes = size_t{16} << 30;
  static constexpr OptionInfo kWeightCacheBytes =
      OptionInfo{
          "weight-cache-bytes", "N", "Engine",
          "Most that --weight-cache keeps; the least recently used weights leave. The default holds a handful of large "
          "models."}
          .within(0, kMostBytes);

  size_t prefix_bytes = size_t{256} << 20;
  static constexpr OptionInfo kPrefixBytes =
      OptionInfo{"prefix-bytes", "N", "Engine",
                 "Decoders: most that the cpu engine keeps of keys and values of what pairs begin with, and most that "
                 "one batch may take while it is computed; of the cuda engine, most that it keeps in the memory of "
                 "each device, which is taken when the model is opened. 0: nothing is shared. The default holds a "
                 "thousand tokens of a model of 0.6 billion parameters, twice as many on the cuda engine: the "
                 "template, some instructions and queries."}
          .within(0, kMostBytes);

  std::string tuning_cache;
  static constexpr OptionInfo kTuningCache{
      "tuning-cache", "DIR", "Engine",
      "Where the cuda engine keeps which algorithms are the fastest on this GPU, in a small file for each kind of "
      "GPU and driver: it tries some when it meets a product's shape for the first time, some milliseconds each. "
      "none: nowhere, and each start tries anew. Default: ~/.cache/rerankd/tuning; of a library's reranker: none."};

  std::string pjrt_cache;
  static constexpr OptionInfo kPjrtCache{
      "pjrt-cache", "DIR", "Engine",
      "Where the pjrt engine keeps compiled programs: later starts with the same plugin, device and model load them. "
      "What lies there is run: a folder that only you can write. Default: none, each start compiles."};

  size_t pjrt_cache_bytes = size_t{8} << 30;
  static constexpr OptionInfo kPjrtCacheBytes =
      OptionInfo{
          "pjrt-cache-bytes", "N", "Engine",
          "Most that --pjrt-cache keeps; the least recently used programs leave. A TPU's take 15 to 100 MB each: the "
          "default holds some models."}
          .within(0, kMostBytes);

  size_t tokenizer_threads = 0;
  static constexpr OptionInfo kTokenizerThreads =
      OptionInfo{"tokenizer-threads", "N", "Limits", "Threads that turn text into token ids. 0: as --threads."}.within(
          0, 4096);

  CacheOptions caches;
  WatchOptions watch;

  template <class O, class Visit>
  static void visit_compute(O& options, Visit&& visit_field) {
    visit_field(kThreads, options.threads);
    visit_field(kPinThreads, options.pin_threads);
    visit_field(kWeightCache, options.weight_cache);
    visit_field(kWeightCacheBytes, options.weight_cache_bytes);
    visit_field(kPrefixBytes, options.prefix_bytes);
    visit_field(kTuningCache, options.tuning_cache);
    visit_field(kPjrtCache, options.pjrt_cache);
    visit_field(kPjrtCacheBytes, options.pjrt_cache_bytes);
  }

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kTokenizerThreads, options.tokenizer_threads);
    CacheOptions::visit(options.caches, visit_field);
    WatchOptions::visit(options.watch, visit_field);
  }
};

}  // namespace rerank
