// What a service is made of: open.cc fills it in. Included only within this room.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/hash.h"
#include "base/metrics.h"
#include "base/worker_pool.h"
#include "cache/cache.h"
#include "cache/shared_cache.h"
#include "cache/token_cache.h"
#include "engine/backend.h"
#include "rerank/reranker.h"
#include "schedule/scheduler.h"
#include "text/lists/list_encoder.h"
#include "text/long_document.h"
#include "text/pair_encoder.h"

namespace rerank::rank {

// `segments`: the model reads token types (false: they are all zero, as for RoBERTa).
struct ServiceParts {
  std::shared_ptr<const text::PairEncoder> texts;
  // Of a model that reads documents together; null: it scores pairs. `vector_width`: of what its engine makes.
  std::shared_ptr<const text::ListEncoder> lists;
  size_t vector_width = 0;
  std::unique_ptr<engine::Backend> backend;
  std::shared_ptr<Metrics> metrics;  // may be null
  ModelInfo info;
  bool segments = true;
  size_t model_layers = 0;
  size_t first_output = 0;                    // layers that a request may ask for begin there; 0: at 1
  bool depth = true;                          // whether the engine computes fewer layers where a request asks for it
  size_t layers = 0;                          // where a request does not say; 0: all
  float exit_margin = 0;                      // of adaptive depth, see engine/batch.h; 0: off
  double exit_keep = 0;                       // of adaptive depth by the model's own outputs; 0: off
  Truncation truncation = Truncation::kHead;  // where a request does not say
  Chunking chunking;
  size_t max_documents = 10000;
  // These other services of the process may have, too; those that are null the service makes.
  std::shared_ptr<WorkerPool> tokenizers;
  std::shared_ptr<cache::PairCache> pair_cache;
  std::shared_ptr<cache::TokenCache> token_cache;
  std::shared_ptr<void> cache_share;            // kept as long as the service
  std::shared_ptr<void> weights;                // the same: their part of the process's memory
  std::unique_ptr<schedule::Turns::Seat> seat;  // where others compute with the same threads or devices
  bool own_caches = true;                       // tells metrics how large they are
  size_t tokenizer_threads = 1;
  size_t cache_bytes = 0;
  std::chrono::seconds cache_ttl{86400};
  size_t token_cache_bytes = 0;
  std::shared_ptr<cache::SharedCache> shared_cache;  // may be null
  HashKey hash_key = HashKey::of_process();          // of texts; what shares a cache shares it
  schedule::PlannerOptions planner;
  std::vector<schedule::MeasuredBatch> measured;  // what warm-up has found
};

}  // namespace rerank::rank
