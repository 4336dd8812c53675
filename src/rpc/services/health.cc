#include "rpc/services/health.h"

namespace rerank::rpc {

bool Health::serving() const {
  const std::lock_guard lock(mutex_);
  return serving_;
}

void Health::set_serving(bool serving) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || serving == serving_) return;
  serving_ = serving;
  for (Watcher* watcher : watchers_) watcher->on_change(serving);
}

void Health::stop() {
  set_serving(false);
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (Watcher* watcher : watchers_) watcher->on_stop();
  watchers_.clear();
}

void Health::add(Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  watcher.on_change(serving_);
  if (stopped_) return watcher.on_stop();
  watchers_.insert(&watcher);
}

bool Health::remove(Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  return watchers_.erase(&watcher) > 0;
}

}  // namespace rerank::rpc
