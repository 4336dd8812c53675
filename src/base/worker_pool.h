// A few threads that run small tasks in order of arrival. The queue has no bound of its own: who posts must have
// admitted the work before (the service bounds requests). Tasks must not wait for other tasks of the pool. What one
// throws is told to the log: who posts it answers for what it was about.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace rerank {

class WorkerPool {
 public:
  explicit WorkerPool(size_t threads);
  // Runs what was posted, then stops.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void post(std::function<void()> task);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace rerank
