// Token ids of a request -> the pairs that the engine computes, and their logits -> scores of documents. Included only
// within this room.
#pragma once

#include <memory>

#include "rank/service/parts.h"
#include "rank/service/service_metrics.h"
#include "rank/service/work.h"
#include "schedule/scheduler.h"

namespace rerank::rank {

// Joins the query with each of `missing`. OutOfRange where a document is too long and the request wants none cut; what
// the scheduler would refuse is refused before memory is taken for it.
Result<std::unique_ptr<schedule::Job>> job_of_pairs(const ServiceParts& parts, const schedule::Scheduler& scheduler,
                                                    Work& work);

// `metrics` may be null. `job` has been computed.
void take_logits(const ServiceParts& parts, ServiceMetrics* metrics, const schedule::Job& job, Work& work);

}  // namespace rerank::rank
