#include "cli/signals.h"

#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"

namespace rerank::cli {

Signals::Signals() {
  sigemptyset(&set_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set_, signal);
  pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

void Signals::start() {
  thread_ = std::thread([this] {
    for (int signal = 0;;) {
      if (sigwait(&set_, &signal) != 0) continue;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
      }
      take(signal);
    }
  });
}

Signals::~Signals() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  pthread_kill(thread_.native_handle(), SIGUSR1);  // wakes it
  thread_.join();
}

void Signals::serving(std::function<void()> reload) {
  const std::lock_guard lock(mutex_);
  reload_ = std::move(reload);
  serving_ = true;
}

bool Signals::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_by_ != 0;
}

int Signals::wait(std::function<std::string()> dropped) {
  std::unique_lock lock(mutex_);
  dropped_ = std::move(dropped);
  changed_.wait(lock, [this] { return ended_by_ != 0; });
  return ended_by_;
}

void Signals::take(int signal) {
  if (signal == SIGUSR1 || signal == SIGUSR2) return;
  if (signal != SIGHUP) return end(signal);
  std::function<void()> reload;
  {
    const std::lock_guard lock(mutex_);
    reload = reload_;
  }
  if (reload) {
    log_info("SIGHUP: reading keys, certificates and the list of models again");
    reload();
  }
}

void Signals::end(int signal) {
  const char* name = signal == SIGINT ? "SIGINT" : "SIGTERM";
  const std::lock_guard lock(mutex_);
  if (!serving_) {
    log_info(str_cat(name, ": ended before it was up"));
    _exit(0);
  }
  if (ended_by_ != 0) {
    log_warning(str_cat(name, " again: ending at once", dropped_ ? dropped_() : ""));
    _exit(1);
  }
  ended_by_ = signal;
  reload_ = nullptr;
  changed_.notify_all();
}

}  // namespace rerank::cli
