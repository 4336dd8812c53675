// How messages of a call come and go, for each shape of method. All reactors delete themselves when gRPC is done with
// them.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "rpc/call.h"

namespace rerank::rpc {

// One message in, one out, which the handler has filled when it says done.
class UnaryReactor : public grpc::ServerUnaryReactor {
 public:
  UnaryReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method)
      : call_(core, context, method) {}

  // Admits the caller and its message of so many bytes, then hands over to `handle(call, done)`.
  template <class Handle>
  UnaryReactor* run(size_t message_bytes, Handle handle) {
    const RpcDone done = [this](const Status& status) {
      const grpc::Status sent_status = call_.finish(status);
      call_.begin_sending();
      Finish(sent_status);
    };
    handle_guarded(done, [&](const RpcDone& once) {
      if (const Status admitted = call_.admit(); !admitted.ok()) return once(admitted);
      auto held = call_.hold(message_bytes);
      if (!held.ok()) return once(held.status());
      memory_ = *std::move(held);
      handle(call_, once);
    });
    return this;
  }

 private:
  void OnCancel() override { call_.cancel(); }
  void OnDone() override { delete this; }

  RpcCall call_;
  std::shared_ptr<transport::MemoryHold> memory_;
};

// Many messages in, many out. Reads while less than kAhead is under way, so that a client that sends faster than is
// computed is slowed down.
template <class In, class Out>
class StreamReactor : public grpc::ServerBidiReactor<In, Out> {
 public:
  StreamReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method)
      : call_(core, context, method) {}

  void start() { step(0, call_.admit()); }

 protected:
  // Called for each message, one at a time; `memory` is kept until what is made of it has been sent. For each piece of
  // work it begins it calls begin_work() first, and end_work() when pieces are over: after the last, this object may be
  // gone.
  virtual void on_message(const In& message, std::shared_ptr<transport::MemoryHold> memory) = 0;
  // Whether something of the client's is held while its next message is waited for: then silence ends the call.
  virtual bool holds_while_waiting() const { return false; }
  // Called once, when the client has sent all and no work is left; may send().
  virtual void on_end() {}

  RpcCall& call() { return call_; }
  std::recursive_mutex& mutex() { return mutex_; }

  void begin_work() {
    const std::lock_guard lock(mutex_);
    ++work_;
  }
  void end_work(size_t pieces, const Status& status) { step(pieces, status); }
  void send(std::shared_ptr<Out> message) {
    const std::lock_guard lock(mutex_);
    out_.push_back(std::move(message));
  }
  void fail(const Status& status) { step(0, status); }

 private:
  static constexpr size_t kAhead = 16;

  void OnReadDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(awaiting_, false)) call_.end_receiving();
      taking_ = true;
      ended_ |= !ok;
      ok &= status_.ok();
    }
    if (ok) {
      const Status status = guarded([&] {
        ASSIGN_OR_RETURN(auto memory, call_.hold(in_.ByteSizeLong()));
        on_message(in_, std::move(memory));
        return ok_status();
      });
      if (!status.ok()) fail(status);
    }
    {
      // Not before: another thread would begin to read the next message into this one, and take its turn.
      const std::lock_guard lock(mutex_);
      in_ = In();  // gives back what was not taken from it
      reading_ = taking_ = false;
    }
    step(0, ok_status());
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      call_.end_sending();
      writing_.reset();
    }
    step(0, ok ? ok_status() : Status(absl::StatusCode::kCancelled, "the client has gone"));
  }

  void OnCancel() override {
    call_.cancel();
    step(0, absl::CancelledError("the call was cancelled"));
  }

  void OnDone() override { delete this; }

  // Whatever can be done next. Reads and writes are begun under the lock, so that nobody ends the call between the
  // decision and the deed; recursive, since gRPC may call back on this thread. After the end this object may be gone.
  void step(size_t work_ended, const Status& status) {
    bool ends = false, finishes = false;
    {
      const std::lock_guard lock(mutex_);
      work_ -= work_ended;
      if (status_.ok() && !status.ok()) {
        status_ = status;
        call_.cancel();
      }
      if (finished_) return;
      if (!status_.ok()) out_.clear();
      if (!writing_ && !out_.empty()) {
        writing_ = std::move(out_.front());
        out_.pop_front();
        call_.begin_sending();
        this->StartWrite(writing_.get());
      }
      if (status_.ok() && !reading_ && !ended_ && work_ + out_.size() < kAhead) {
        reading_ = true;
        this->StartRead(&in_);
      }
      const bool idle = work_ == 0 && !writing_ && out_.empty();
      if (idle && status_.ok() && reading_ && !taking_ && !awaiting_ && holds_while_waiting()) {
        awaiting_ = true;
        call_.begin_receiving();
      }
      if (idle && status_.ok() && ended_ && !wrapped_up_) ends = wrapped_up_ = true;
      finishes = idle && !ends && (!status_.ok() || wrapped_up_);
      finished_ = finishes;
    }
    if (finishes) {
      const grpc::Status sent_status = call_.finish(status_);
      call_.begin_sending();
      this->Finish(sent_status);
    } else if (ends) {
      step(0, guarded([&] { on_end(); }));
    }
  }

  RpcCall call_;
  In in_;

  std::recursive_mutex mutex_;  // guards what follows
  std::deque<std::shared_ptr<Out>> out_;
  std::shared_ptr<Out> writing_;
  size_t work_ = 0;
  bool reading_ = false, taking_ = false, awaiting_ = false;
  bool ended_ = false, wrapped_up_ = false, finished_ = false;
  Status status_;
};

// A stream of requests that know nothing of each other, answered in their order. Each is admitted for itself.
template <class In, class Out>
class OrderedStream : public StreamReactor<In, Out> {
 public:
  // Fills `out` for `in`, which is good until it returns.
  using Handle = std::function<void(RpcCall& call, const In& in, Out& out, RpcDone done)>;

  OrderedStream(RpcCore& core, grpc::CallbackServerContext& context, const char* method, Handle handle)
      : StreamReactor<In, Out>(core, context, method), handle_(std::move(handle)) {}

 private:
  struct Slot {
    std::shared_ptr<transport::MemoryHold> memory;
    std::shared_ptr<Out> out = std::make_shared<Out>();
    bool done = false;
  };

  void on_message(const In& message, std::shared_ptr<transport::MemoryHold> memory) override {
    if (!first_) {  // the first was admitted with the call
      if (const Status admitted = this->call().admit(); !admitted.ok()) return this->fail(admitted);
    }
    first_ = false;
    auto slot = std::make_shared<Slot>();
    slot->memory = std::move(memory);
    {
      const std::lock_guard lock(this->mutex());
      slots_.push_back(slot);
    }
    this->begin_work();
    const RpcDone done = [this, slot](const Status& status) {
      size_t sent = 0;
      {
        const std::lock_guard lock(this->mutex());
        slot->done = true;
        for (; !slots_.empty() && slots_.front()->done; slots_.pop_front(), ++sent) {
          this->send({slots_.front(), slots_.front()->out.get()});  // with what it holds
        }
      }
      this->end_work(sent, status);  // what waits behind others is still held
    };
    handle_guarded(done, [&](const RpcDone& once) { handle_(this->call(), message, *slot->out, once); });
  }

  Handle handle_;
  std::deque<std::shared_ptr<Slot>> slots_;
  bool first_ = true;
};

}  // namespace rerank::rpc
