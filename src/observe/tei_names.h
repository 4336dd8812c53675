// The names under which Text Embeddings Inference exports the same figures (its core/src/{infer,queue,backend}.rs), for
// dashboards and alerts made for it.
#pragma once

#include "base/metrics.h"

namespace rerank::observe {

void add_tei_names(Metrics& metrics);

}  // namespace rerank::observe
