// Scores of pairs that were computed before, by this service or by those that share its caches. Included only within
// this room.
#pragma once

#include <optional>
#include <span>

#include "cache/cache.h"
#include "rank/service/parts.h"
#include "rank/service/service_metrics.h"
#include "rank/service/work.h"

namespace rerank::rank {

// `metrics` may be null, as below. Takes what the pair cache knows; the other documents are `missing`. Where caches are
// used, `keys` are made.
void look_up(const ServiceParts& parts, ServiceMetrics* metrics, Work& work);

// `scores`: of each of `missing`, as the shared cache knows them. Those that it does not stay `missing`.
void take_shared(const ServiceParts& parts, std::span<const std::optional<cache::CachedScore>> scores, Work& work);

// Puts what was computed of `missing` into the caches, but for guesses and what is not finite.
void keep_scores(const ServiceParts& parts, ServiceMetrics* metrics, const Work& work);

}  // namespace rerank::rank
