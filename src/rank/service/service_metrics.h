// What a Service counts and times. Included only within this room.
#pragma once

#include "base/metrics.h"
#include "rerank/types.h"

namespace rerank::rank {

struct ServiceMetrics {
  ServiceMetrics(Metrics& m, bool own_caches)
      : documents(m.counter("rerankd_documents_total", "Documents scored.")),
        truncated(m.counter("rerankd_truncated_documents_total", "Documents cut to the length limit.")),
        unknown(m.counter("rerankd_unknown_tokens_total", "Tokens for text that the tokenizer does not know.")),
        total(m.histogram("rerankd_rank_seconds", "Time of one request in the service.", latency_buckets_seconds())),
        cache(stage(m, "cache")),
        tokenize(stage(m, "tokenize")),
        queue(stage(m, "queue")),
        compute(stage(m, "compute")),
        total_quantiles(quantiles(m, "total")),
        queue_quantiles(quantiles(m, "queue")),
        compute_quantiles(quantiles(m, "compute")),
        hits(m.counter("rerankd_cache_hits_total", "Pairs whose score was in the cache.")),
        misses(m.counter("rerankd_cache_misses_total", "Pairs looked up and not found in the cache.")),
        evictions(m.counter("rerankd_cache_evictions_total", "Pairs that left the cache for others.")),
        cache_bytes(own_caches ? &m.gauge("rerankd_cache_bytes", "Memory of the pair cache.") : nullptr),
        token_hits(m.counter("rerankd_token_cache_hits_total", "Documents whose token ids were known.")),
        token_misses(m.counter("rerankd_token_cache_misses_total", "Documents tokenized.")),
        token_bytes(own_caches ? &m.gauge("rerankd_token_cache_bytes", "Memory of the token cache.") : nullptr),
        lengths(m.histogram("rerankd_pair_tokens", "Tokens of one scored pair.",
                            {16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096, 8192})),
        layers(m.histogram("rerankd_pair_layers", "Layers of the model computed for one pair.",
                           {1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32})) {}

  static Histogram& stage(Metrics& m, const char* name) {
    return m.histogram("rerankd_stage_seconds", "Time of one request in one stage.", latency_buckets_seconds(),
                       {{"stage", name}});
  }
  static Quantiles& quantiles(Metrics& m, const char* name) {
    return m.quantiles(
        "rerankd_latency_seconds",
        "Time of one request in the service (total), waiting and computing: quantiles of the last minute.",
        {{"stage", name}});
  }

  void answered(const RerankResponse& response, bool computed) {
    const Timings& t = response.timings;
    const auto seconds = [](int64_t us) { return static_cast<double>(us) * 1e-6; };
    documents.add(static_cast<double>(response.documents));
    truncated.add(static_cast<double>(response.truncated_documents));
    total.observe(seconds(t.total_us));
    total_quantiles.observe(seconds(t.total_us));
    cache.observe(seconds(t.cache_us));
    if (!computed) return;
    tokenize.observe(seconds(t.tokenize_us));
    queue.observe(seconds(t.queue_us));
    queue_quantiles.observe(seconds(t.queue_us));
    compute.observe(seconds(t.compute_us));
    compute_quantiles.observe(seconds(t.compute_us));
  }

  Counter &documents, &truncated, &unknown;
  Histogram &total, &cache, &tokenize, &queue, &compute;
  Quantiles &total_quantiles, &queue_quantiles, &compute_quantiles;
  Counter &hits, &misses, &evictions;
  Gauge* cache_bytes;  // null: of caches that others have, too
  Counter &token_hits, &token_misses;
  Gauge* token_bytes;
  Histogram &lengths, &layers;
};

}  // namespace rerank::rank
