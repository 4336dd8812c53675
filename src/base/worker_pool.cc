#include "base/worker_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "base/log.h"
#include "base/strings.h"

namespace rerank {

struct WorkerPool::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::function<void()>> tasks;
  bool stopping = false;
  std::vector<std::thread> threads;

  void serve() {
    std::unique_lock lock(mutex);
    while (true) {
      wake.wait(lock, [&] { return stopping || !tasks.empty(); });
      if (tasks.empty()) return;
      auto task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      if (const Status status = guarded(task); !status.ok()) log_error(message_of(status));
      task = nullptr;  // what it captured is freed outside the lock
      lock.lock();
    }
  }
};

WorkerPool::WorkerPool(size_t threads) : state_(std::make_unique<State>()) {
  for (size_t i = 0; i < threads; ++i) state_->threads.emplace_back([this] { state_->serve(); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  for (auto& thread : state_->threads) thread.join();
}

void WorkerPool::post(std::function<void()> task) {
  {
    std::lock_guard lock(state_->mutex);
    state_->tasks.push_back(std::move(task));
  }
  state_->wake.notify_one();
}

}  // namespace rerank
