#include "rank/service/known_scores.h"

#include <cmath>
#include <utility>
#include <vector>

#include "rank/service/request_settings.h"

namespace rerank::rank {

// Where documents are scored together none has a score of its own that could be kept.
// A key holds all that a logit depends on: the model and its arithmetic (the fingerprint), how texts are cut, both
// texts. A request that refuses to have texts cut is not looked up: a cached pair may have been.
void look_up(const ServiceParts& parts, ServiceMetrics* metrics, Work& work) {
  const RerankRequest& request = *work.request;
  cache::PairCache& cache = *parts.pair_cache;
  const bool use = !parts.lists && (cache.enabled() || parts.shared_cache) && request.use_cache && request.truncate &&
                   !request.explain_cuts;
  if (use) {
    const text::FitSpec spec = fit_spec(parts, request);
    const Hash128 instruction = keyed_hash(parts.hash_key, parts.texts->instruction_of(request.instruction));
    const Hash128 common = FieldHasher()
                               .add(parts.info.fingerprint)
                               .add(static_cast<uint64_t>(layers_of(parts, request)))
                               .add(static_cast<uint64_t>(spec.max_length))
                               .add(static_cast<uint64_t>(spec.truncation))
                               .add(static_cast<uint64_t>(spec.chunking.overlap))
                               .add(static_cast<uint64_t>(spec.chunking.max_chunks))
                               .add(static_cast<uint64_t>(spec.chunking.best))
                               .add(static_cast<uint64_t>(request.max_query_tokens))
                               .add(static_cast<uint64_t>(request.max_document_tokens))
                               .add(work.query->hash.low)
                               .add(work.query->hash.high)
                               .add(instruction.low)
                               .add(instruction.high)
                               .finish();
    for (const std::string& document : request.documents) {
      const Hash128 text = work.texts.emplace_back(keyed_hash(parts.hash_key, document));
      work.keys.push_back(FieldHasher().add(common.low).add(common.high).add(text.low).add(text.high).finish());
    }
  }
  for (size_t i = 0; i < request.documents.size(); ++i) {
    auto found = use ? cache.find(work.keys[i], work.begin) : std::nullopt;
    if (found) {
      work.documents[i] = {found->logit, found->tokens, found->truncated};
    } else {
      work.missing.push_back(i);
    }
  }
  if (!metrics || !use) return;
  metrics->hits.add(static_cast<double>(request.documents.size() - work.missing.size()));
  metrics->misses.add(static_cast<double>(work.missing.size()));
}

void take_shared(const ServiceParts& parts, std::span<const std::optional<cache::CachedScore>> scores, Work& work) {
  const std::vector<size_t> asked = std::exchange(work.missing, {});
  for (size_t m = 0; m < asked.size(); ++m) {
    if (!scores[m]) {
      work.missing.push_back(asked[m]);
      continue;
    }
    work.documents[asked[m]] = {scores[m]->logit, scores[m]->tokens, scores[m]->truncated, 0, {}, 0};
    parts.pair_cache->insert(work.keys[asked[m]], *scores[m], Clock::now());
  }
}

void keep_scores(const ServiceParts& parts, ServiceMetrics* metrics, const Work& work) {
  cache::PairCache& cache = *parts.pair_cache;
  size_t evicted = 0;
  const TimePoint now = Clock::now();
  std::vector<std::pair<Hash128, cache::CachedScore>> found;
  for (size_t m = 0; !work.keys.empty() && m < work.missing.size(); ++m) {
    const size_t i = work.missing[m];
    const ScoredDocument& d = work.documents[i];
    if (!std::isfinite(d.logit) || d.dropped) continue;
    found.emplace_back(work.keys[i], cache::CachedScore{d.logit, d.tokens, d.truncated});
    evicted += cache.insert(found.back().first, found.back().second, now);
  }
  if (parts.shared_cache && !found.empty()) parts.shared_cache->store(found);
  if (metrics == nullptr) return;
  metrics->evictions.add(static_cast<double>(evicted));
  if (metrics->cache_bytes) metrics->cache_bytes->set(static_cast<double>(cache.bytes()));
  const cache::TokenCache& tokens = *parts.token_cache;
  if (metrics->token_bytes && tokens.enabled()) metrics->token_bytes->set(static_cast<double>(tokens.bytes()));
}

}  // namespace rerank::rank
