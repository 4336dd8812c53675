// A backend that fails, stalls or answers, and jobs for it.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <utility>
#include <vector>

#include "engine/backend.h"
#include "schedule/scheduler.h"

namespace rerank::schedule {

// Logit of a sequence: the sum of its ids. Can be held back, and can fail: the next batch, or that of an id.
class FakeBackend : public engine::Backend {
 public:
  const engine::BackendInfo& info() const override { return information; }
  Status forward(const engine::Batch& batch, std::span<float> logits) override {
    ++entered;
    for (int part = 1; part < 3; ++part) batch.interrupt();
    if (batch.stopped()) return absl::CancelledError("stopped");
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return open_; });
    ++batches;
    const bool cursed = std::find(batch.ids.begin(), batch.ids.end(), curse.load()) != batch.ids.end();
    if (throw_next.exchange(false)) throw std::bad_alloc();
    if (fail_next.exchange(false) || cursed) return absl::InternalError("broken on purpose");
    for (size_t i = 0; i < batch.size(); ++i) {
      logits[i] = static_cast<float>(
          std::accumulate(batch.ids.begin() + batch.offsets[i], batch.ids.begin() + batch.offsets[i + 1], 0));
    }
    return ok_status();
  }
  void set_open(bool open) {
    std::lock_guard lock(mutex_);
    open_ = open;
    wake_.notify_all();
  }
  std::atomic<int> batches{0}, entered{0};
  std::atomic<bool> fail_next{false}, throw_next{false};
  std::atomic<int32_t> curse{-1};
  engine::BackendInfo information;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool open_ = true;
};

struct JobOutcome {
  std::promise<std::pair<Status, std::vector<float>>> promise;
  std::future<std::pair<Status, std::vector<float>>> future = promise.get_future();
};

inline std::unique_ptr<Job> make_job(const std::vector<std::vector<int32_t>>& sequences,
                                     std::shared_ptr<JobOutcome> outcome) {
  auto job = std::make_unique<Job>();
  for (const auto& s : sequences) job->pairs.add(s);
  job->done = [outcome](Job& j, Status status) { outcome->promise.set_value({status, j.logits}); };
  return job;
}

}  // namespace rerank::schedule
