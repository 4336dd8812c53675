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
#include <functional>
#include <memory>
#include <mutex>

#include "rank/service/parts.h"
#include "rerank/reranker.h"
#include "schedule/scheduler.h"

namespace rerank::rank {

struct ServiceMetrics;
struct Work;

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
  // A request's steps, in order.
  void start(const std::shared_ptr<Work>& work);
  void go_on(const std::shared_ptr<Work>& work);
  void tokenize_unit(const std::shared_ptr<Work>& work, size_t unit);
  void join_and_schedule(const std::shared_ptr<Work>& work);
  void finish(const std::shared_ptr<Work>& work, schedule::Job& job, Status status);
  void answer(const std::shared_ptr<Work>& work);
  void fail(const std::shared_ptr<Work>& work, Status status);

  template <class Step>
  void guard(const std::shared_ptr<Work>& work, Step step);
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
  std::unique_ptr<ServiceMetrics> metrics_;
  std::atomic<bool> reported_unknown_{false};  // the log has been told of texts that the model does not know
  Pending pending_;
  // It uses the backend, and is fed by what is pending.
  std::unique_ptr<schedule::Scheduler> scheduler_;
};

}  // namespace rerank::rank
