// Token ids of a request -> blocks of documents that a model reads together, and their vectors -> scores. Included only
// within this room.
#pragma once

#include <memory>

#include "rank/service/parts.h"
#include "rank/service/service_metrics.h"
#include "rank/service/work.h"
#include "schedule/scheduler.h"

namespace rerank::rank {

// Each block is a sequence. OutOfRange where a document is too long and the request wants none cut; what the scheduler
// would refuse is refused before memory is taken for it.
Result<std::unique_ptr<schedule::Job>> job_of_lists(const ServiceParts& parts, const schedule::Scheduler& scheduler,
                                                    Work& work);

// `metrics` may be null. `job` has been computed.
void take_list_scores(const ServiceParts& parts, ServiceMetrics* metrics, const schedule::Job& job, Work& work);

}  // namespace rerank::rank
