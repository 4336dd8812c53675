#include "rpc/answer_deadlines.h"

#include <algorithm>

namespace rerank::rpc {

AnswerDeadlines::AnswerDeadlines(std::chrono::milliseconds timeout) : timeout_(timeout), thread_([this] { watch(); }) {}

AnswerDeadlines::~AnswerDeadlines() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void AnswerDeadlines::watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_for(lock, std::max(timeout_ / 4, std::chrono::milliseconds(1)));
    while (!waiting_.empty() && waiting_.front()->end_ <= Clock::now()) {
      Deadline& late = *waiting_.front();
      waiting_.pop_front();
      late.waits_ = false;
      cancelling_ = &late;
      lock.unlock();
      late.context_.TryCancel();
      lock.lock();
      cancelling_ = nullptr;
      cancelled_.notify_all();
    }
  }
}

AnswerDeadlines::Deadline::~Deadline() {
  disarm();
  std::unique_lock lock(all_.mutex_);
  if (std::this_thread::get_id() == all_.thread_.get_id()) return;  // inside TryCancel(), which uses it no more
  all_.cancelled_.wait(lock, [this] { return all_.cancelling_ != this; });
}

void AnswerDeadlines::Deadline::arm() {
  const std::lock_guard lock(all_.mutex_);
  if (waits_) all_.waiting_.erase(at_);
  end_ = Clock::now() + all_.timeout_;
  waits_ = true;
  at_ = all_.waiting_.insert(all_.waiting_.end(), this);
}

void AnswerDeadlines::Deadline::disarm() {
  const std::lock_guard lock(all_.mutex_);
  if (waits_) all_.waiting_.erase(at_);
  waits_ = false;
}

}  // namespace rerank::rpc
