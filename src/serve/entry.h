// What the catalog keeps of one model. Guarded by the catalog's lock.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "base/metrics.h"
#include "base/worker_pool.h"
#include "serve/model_catalog.h"
#include "serve/waiting_model.h"

namespace rerank::serve {

struct ModelCatalog::Entry : std::enable_shared_from_this<ModelCatalog::Entry> {
  ModelSpec spec;  // of what answers, or is loaded for the first time
  std::string name;
  std::shared_ptr<Reranker> model;        // that answers
  std::shared_ptr<WaitingModel> waiting;  // requests that wait for it
  bool loading = false;
  bool first = false;       // its first load since the start has not ended
  bool was_loaded = false;  // once
  bool cascade = false;     // is made of others, and never loaded
  Status failure;           // of the last load
  TimePoint failed_at{};
  std::string phase;
  int percent = 0;
  TimePoint last_used = Clock::now();
  ModelInfo info;                    // of the model that was loaded last
  std::shared_ptr<Metrics> metrics;  // labelled with its name; may be null, as what follows
  Gauge* loaded = nullptr;
};

// Models that requests may still have, and the thread that ends them: who lets go of one last may be one of its own
// threads, which it would wait for.
struct ModelCatalog::Alive {
  std::mutex mutex;
  std::condition_variable none;
  size_t count = 0;  // guarded by mutex
  WorkerPool ending{1};
};

}  // namespace rerank::serve
