// Deadlines of one length: calls back for what is not over in time. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "rerank/types.h"

namespace rerank::rpc {

class Deadlines {
 public:
  // What is not over `timeout` after it began is late; its callback runs at most a quarter of it later.
  explicit Deadlines(std::chrono::milliseconds timeout);
  ~Deadlines();  // all are gone by then

  // Must not outlive the Deadlines.
  class Deadline {
   public:
    // `late` is called on the thread that watches, and must not block; it may end what the deadline belongs to.
    Deadline(Deadlines& all, std::function<void()> late) : all_(all), late_(std::move(late)) {}
    ~Deadline();  // not under a lock that `late` takes: it waits until that has returned
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    void arm();  // counts from now
    void disarm();

   private:
    friend class Deadlines;
    Deadlines& all_;
    const std::function<void()> late_;
    TimePoint end_{};
    bool waits_ = false;                 // guarded by all_.mutex_, as the next
    std::list<Deadline*>::iterator at_;  // in all_.waiting_, if it waits
  };

 private:
  void watch();

  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::list<Deadline*> waiting_;  // in the order of their ends; guarded by mutex_, as the next two
  Deadline* calling_ = nullptr;   // its `late` runs, without the lock: it may end what the deadline belongs to
  bool stopping_ = false;
  std::condition_variable wake_, called_;
  std::thread thread_;
};

}  // namespace rerank::rpc
