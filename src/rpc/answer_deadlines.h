// Ends calls whose clients do not take their answers: what such a call holds is given back with it. Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "rerank/types.h"

namespace rerank::rpc {

class AnswerDeadlines {
 public:
  // A message that has not been taken `timeout` after it was given to gRPC ends its call, at most a quarter of it
  // later.
  explicit AnswerDeadlines(std::chrono::milliseconds timeout);
  ~AnswerDeadlines();  // all calls are over by then

  // The deadline of what one call is sending. Must not outlive the AnswerDeadlines, nor the call's context.
  class Deadline {
   public:
    Deadline(AnswerDeadlines& all, grpc::CallbackServerContext& context) : all_(all), context_(context) {}
    ~Deadline();  // not under a lock that the call's reactions take: it may wait for the call to be cancelled
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;

    void arm();  // counts from now; before gRPC has the message
    void disarm();

   private:
    friend class AnswerDeadlines;
    AnswerDeadlines& all_;
    grpc::CallbackServerContext& context_;
    TimePoint end_{};
    bool waits_ = false;                 // guarded by all_.mutex_, as the next
    std::list<Deadline*>::iterator at_;  // in all_.waiting_, if it waits
  };

 private:
  void watch();

  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::list<Deadline*> waiting_;    // in the order of their ends; guarded by mutex_, as the next two
  Deadline* cancelling_ = nullptr;  // outside of the lock: gRPC may tell a call its end on the thread that cancels it
  bool stopping_ = false;
  std::condition_variable wake_, cancelled_;
  std::thread thread_;
};

}  // namespace rerank::rpc
