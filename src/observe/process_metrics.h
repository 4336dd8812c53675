// This process's CPU time, memory, threads and open files, under the names that every Prometheus client library uses.
#pragma once

#include "base/metrics.h"

namespace rerank::observe {

// Reads them whenever `metrics` is written out. Linux: from /proc.
void add_process_metrics(Metrics& metrics);

}  // namespace rerank::observe
