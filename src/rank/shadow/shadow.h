// Online quality: a sample of the requests that are served is scored again at full depth and precision while nothing
// else is to do, and exports as metrics how far the two agree. It measures what is served, caches, truncation, exits
// and all, against what the model would have said at its best on the same texts. Or by another model, to compare the
// two before one takes the other's place.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "rerank/reranker.h"

namespace rerank::rank {

struct ShadowOptions {
  double rate = 0;                                 // share of requests, 0 to 1
  size_t max_queued_bytes = 0;                     // texts that may wait
  std::string by = "at full depth and precision";  // what scores again, for the log
};

// Makes the reranker that scores at its best. Called once, on a thread of low priority, which the threads that it
// starts inherit.
using OpenShadow = std::function<Result<std::unique_ptr<Reranker>>()>;

// Serves as `served` does. `metrics` is not null.
std::unique_ptr<Reranker> with_shadow(std::unique_ptr<Reranker> served, OpenShadow open, const ShadowOptions& options,
                                      std::shared_ptr<Metrics> metrics);

// The same model at its best: every setting that trades quality for speed undone, one thread, no caches, no shadow.
Options shadow_settings(Options options);

}  // namespace rerank::rank
