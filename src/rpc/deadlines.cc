#include "rpc/deadlines.h"

#include <algorithm>

namespace rerank::rpc {

Deadlines::Deadlines(std::chrono::milliseconds timeout) : timeout_(timeout), thread_([this] { watch(); }) {}

Deadlines::~Deadlines() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Deadlines::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    wake_.wait_for(lock, std::max(timeout_ / 4, std::chrono::milliseconds(1)), [this] { return stopping_; });
    while (!waiting_.empty() && waiting_.front()->end_ <= Clock::now()) {
      Deadline& late = *waiting_.front();
      waiting_.pop_front();
      late.waits_ = false;
      calling_ = &late;
      lock.unlock();
      late.late_();
      lock.lock();
      calling_ = nullptr;
      called_.notify_all();
    }
  }
}

Deadlines::Deadline::~Deadline() {
  disarm();
  std::unique_lock lock(all_.mutex_);
  if (std::this_thread::get_id() == all_.thread_.get_id()) return;  // inside late_(), which uses it no more
  all_.called_.wait(lock, [this] { return all_.calling_ != this; });
}

void Deadlines::Deadline::arm() {
  const std::lock_guard lock(all_.mutex_);
  if (waits_) all_.waiting_.erase(at_);
  end_ = Clock::now() + all_.timeout_;
  waits_ = true;
  if (all_.waiting_.empty()) all_.wake_.notify_one();
  at_ = all_.waiting_.insert(all_.waiting_.end(), this);
}

void Deadlines::Deadline::disarm() {
  const std::lock_guard lock(all_.mutex_);
  if (waits_) all_.waiting_.erase(at_);
  waits_ = false;
}

}  // namespace rerank::rpc
