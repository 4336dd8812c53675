#include "serve/waiting_model.h"

#include "base/strings.h"

namespace rerank::serve {
namespace {

// Requests that wait for one model. Their memory is counted where they came in; loading a model takes seconds.
constexpr size_t kMostWaiting = 1000;

}  // namespace

void WaitingModel::submit(std::shared_ptr<const RerankRequest> request, Done done) {
  std::unique_lock lock(mutex_);
  if (!resolved_ && waiting_.size() < kMostWaiting) {
    waiting_.emplace_back(std::move(request), std::move(done));
    return;
  }
  const std::shared_ptr<Reranker> model = model_;
  const Status status =
      resolved_ ? failure_
                : with_retry_after(
                      absl::ResourceExhaustedError(str_cat(
                          "overloaded: ", kMostWaiting, " requests wait for the model ", unknown_.id, " to be loaded")),
                      5);
  lock.unlock();
  if (model) return model->submit(std::move(request), std::move(done));
  done(status);
}

void WaitingModel::resolve(Result<std::shared_ptr<Reranker>> model) {
  std::vector<Waiting> waiting;
  {
    const std::lock_guard lock(mutex_);
    resolved_ = true;
    failure_ = model.status();
    if (model.ok()) model_ = *model;
    waiting.swap(waiting_);
  }
  for (auto& [request, done] : waiting) {
    if (model.ok()) {
      (*model)->submit(std::move(request), std::move(done));
    } else {
      done(model.status());
    }
  }
}

void WaitingModel::expire(TimePoint now) {
  std::vector<std::pair<Done, Status>> ended;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [&](Waiting& waiting) {
      const RerankRequest& request = *waiting.first;
      const bool gone = request.cancellation && request.cancellation->cancelled();
      const bool late = request.deadline && now > *request.deadline;
      if (!gone && !late) return false;
      ended.emplace_back(std::move(waiting.second),
                         gone ? absl::CancelledError("the client has gone")
                              : absl::DeadlineExceededError("not done within the deadline: the model was loading"));
      return true;
    });
  }
  for (auto& [done, status] : ended) done(status);
}

std::shared_ptr<Reranker> WaitingModel::model() const {
  const std::lock_guard lock(mutex_);
  return model_;
}

std::vector<Token> WaitingModel::tokenize(std::string_view text, bool add_special_tokens) const {
  const auto loaded = model();
  return loaded ? loaded->tokenize(text, add_special_tokens) : std::vector<Token>();
}

Result<std::string> WaitingModel::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  const auto loaded = model();
  if (!loaded) return absl::UnavailableError("the model is loading");
  return loaded->decode(ids, skip_special_tokens);
}

const ModelInfo& WaitingModel::info() const {
  const auto loaded = model();
  return loaded ? loaded->info() : unknown_;  // model_ stays, so what info() refers to does
}

bool WaitingModel::ready() const {
  const auto loaded = model();
  return loaded && loaded->ready();
}

}  // namespace rerank::serve
