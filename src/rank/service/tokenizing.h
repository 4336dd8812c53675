// Texts of a request -> token ids: in units that threads take one by one, each document once, or as seen before.
// Included only within this room.
#pragma once

#include <cstddef>

#include "rank/service/parts.h"
#include "rank/service/service_metrics.h"
#include "rank/service/work.h"

namespace rerank::rank {

void prepare_query(const ServiceParts& parts, Work& work);

// Tokens that the pairs of `missing` have at least: known before anything is tokenized.
size_t least_tokens(const ServiceParts& parts, const Work& work);

// Portions of `missing`. The first one has the query, too.
void divide_into_units(Work& work);

// Any thread; of a request that nobody waits for it does nothing. The first error of several is the request's
// (Work::failure). `metrics` may be null.
void tokenize_unit(const ServiceParts& parts, ServiceMetrics* metrics, size_t unit, Work& work);

// Counts tokens for text that the tokenizer does not know. Where they are many there is a warning in the answer: true.
bool count_unknown(const ServiceParts& parts, ServiceMetrics* metrics, Work& work);

}  // namespace rerank::rank
