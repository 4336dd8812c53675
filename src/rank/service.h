// The ranking service behind Reranker: one request from text to sorted scores.
//
//   submit -> pair cache, then the shared one: what is known already needs no tokenizing and no queue
//          -> worker pool: token ids of the query (once) and of each other document (once, or as seen before)
//             -> pairs joined as ids
//          -> scheduler: batches shared with other requests, equal pairs computed once -> logits
//          -> caches, scale, sort -> done
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

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

// What a service is made of. `segments`: the model reads token types (false: they are all zero, as for RoBERTa).
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

struct ServiceMetrics;

class Service : public Reranker {
 public:
  explicit Service(ServiceParts parts);
  ~Service() override;

  void submit(std::shared_ptr<const RerankRequest> request, Done done) override;
  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override;
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override;
  const ModelInfo& info() const override { return parts_.info; }
  bool ready() const override { return !scheduler_->engine_fails(); }

 private:
  struct Work;
  Status check(const RerankRequest& request) const;
  template <class Step>
  void guard(const std::shared_ptr<Work>& work, Step step);
  void start(const std::shared_ptr<Work>& work);
  void go_on(const std::shared_ptr<Work>& work);
  void take_shared(const std::shared_ptr<Work>& work, const std::vector<std::optional<cache::CachedScore>>& scores);
  void tokenize_document(const Work& work, size_t document, std::vector<int32_t>& ids);
  void prepare_query(Work& work);
  Status tokenize_query(const Work& work) const;
  static void fail_unit(Work& work, Status status);
  void tokenize_unit(const std::shared_ptr<Work>& work, size_t unit);
  void count_unknown(Work& work);
  void join_and_schedule(const std::shared_ptr<Work>& work);
  void schedule_lists(const std::shared_ptr<Work>& work);
  void submit_job(const std::shared_ptr<Work>& work, std::unique_ptr<schedule::Job> job);
  void finish_lists(const std::shared_ptr<Work>& work, schedule::Job& job);
  void look_up(Work& work);
  void compete(const Work& work, schedule::Job& job) const;
  void finish(const std::shared_ptr<Work>& work, schedule::Job& job, Status status);
  void answer(const std::shared_ptr<Work>& work);
  uint8_t layers_of(const RerankRequest& request) const;  // 0: all
  text::FitSpec fit_spec(const RerankRequest& request) const;
  void fail(const std::shared_ptr<Work>& work, Status status);
  void post(std::function<void()> task);

  // Tasks of the pool and questions to the shared cache that have not ended: others use both, so that the service
  // cannot stop them to wait for its own.
  class Pending {
   public:
    void begin();
    void end();
    void wait();  // until there are none

   private:
    std::mutex mutex_;
    std::condition_variable none_;
    size_t count_ = 0;  // guarded by mutex_
  };

  ServiceParts parts_;
  cache::PairCache& cache_;
  cache::TokenCache& tokens_;
  std::unique_ptr<ServiceMetrics> metrics_;
  std::atomic<bool> told_unknown_{false};  // the log has been told of texts that the model does not know
  Pending pending_;
  // It uses the backend, and is fed by what is pending.
  std::unique_ptr<schedule::Scheduler> scheduler_;
};

}  // namespace rerank::rank
