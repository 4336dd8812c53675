// A model that is coming back: requests to it wait until it is loaded, within their deadlines.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "rerank/reranker.h"

namespace rerank::serve {

class WaitingModel : public Reranker {
 public:
  explicit WaitingModel(std::string name) { unknown_.id = std::move(name); }

  // Held until resolve(), then the model's. ResourceExhausted when too many wait.
  void submit(std::shared_ptr<const RerankRequest> request, Done done) override;

  // The model, or why it could not be loaded: what waits goes there, and what comes later, too. Once.
  void resolve(Result<std::shared_ptr<Reranker>> model);
  // Answers those whose deadline has passed, and those whose clients have gone.
  void expire(TimePoint now);

  std::vector<Token> tokenize(std::string_view text, bool add_special_tokens) const override;
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special_tokens) const override;
  // The model's own once it is there: before a request has been answered with scores, at the latest.
  const ModelInfo& info() const override;
  bool ready() const override;

 private:
  using Waiting = std::pair<std::shared_ptr<const RerankRequest>, Done>;
  std::shared_ptr<Reranker> model() const;

  ModelInfo unknown_;
  mutable std::mutex mutex_;
  bool resolved_ = false;  // guarded by mutex_, as what follows
  Status failure_;
  std::shared_ptr<Reranker> model_;
  std::vector<Waiting> waiting_;
};

}  // namespace rerank::serve
