// What signals do to `rerankd serve`, from the first moment: SIGTERM and SIGINT end it, SIGHUP has it read its files
// again, SIGUSR1 and SIGUSR2 do nothing.
#pragma once

#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

namespace rerank::cli {

class Signals {
 public:
  // Blocks them for the calling thread and those that it starts: call it before there are any.
  Signals();
  ~Signals();

  // Takes them from now on, on a thread of its own. Until serving(), SIGTERM and SIGINT end the process at once.
  void start();
  // From now on they are told by wait(). `reload`: what SIGHUP does.
  void serving(std::function<void()> reload);
  // SIGHUP does nothing from now on, and what it has begun is over.
  void end_reloads();
  // Whether SIGTERM or SIGINT has come since serving().
  bool ended() const;
  // SIGTERM or SIGINT. Another one after it ends the process at once, after the log line that `dropped` makes.
  int wait(std::function<std::string()> dropped);

 private:
  void take(int signal);
  void end(int signal);

  sigset_t set_{};
  std::mutex reloading_;      // held while SIGHUP's work is done; taken before the other
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool serving_ = false, stopping_ = false;
  int ended_by_ = 0;
  std::function<void()> reload_;
  std::function<std::string()> dropped_;
  std::thread thread_;
};

}  // namespace rerank::cli
