// How messages of a call come and go, whatever they are: services/reactors.h has the shapes of methods. Every method is
// a stream of bytes to gRPC, also one with one message each way: so its metadata are here, and its key is looked at,
// before any of its message is read beyond the 64 KiB that HTTP/2 lets a client send at once. Included only within this
// room.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "rpc/call.h"

namespace rerank::rpc {

// Deletes itself when gRPC is done with it. Reads while less than kAhead is under way, so that a client that sends
// faster than is computed is slowed down.
class CallReactor : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  enum class Reads { kOne, kMany };
  // `method`: as RpcCall has it.
  CallReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method, Reads reads);

  void start() { step(0, call_.admit()); }

 protected:
  // What the next message is read into.
  virtual google::protobuf::Message& message() = 0;
  // message() has been read. One at a time; `memory` is kept until what is made of it has been sent. For each piece of
  // work that it begins it calls begin_work() first, and end_work() when pieces are over: after the last, this object
  // may be gone.
  virtual void on_message(std::shared_ptr<transport::MemoryHold> memory) = 0;
  // After on_message(): gives back what was not taken from message().
  virtual void forget_message() {}
  // Called once, when the client has sent all and no work is left; may send(), begin_work() and fail().
  virtual void on_end() {}
  // The client has gone, or no longer wants it: work that waits for something else is to end. May be called under
  // mutex().
  virtual void on_cancel() {}

  RpcCall& call() { return call_; }
  std::recursive_mutex& mutex() { return mutex_; }

  void begin_work();
  void end_work(size_t pieces, const Status& status) { step(pieces, status); }
  // `held` is kept until the client has taken it.
  void send(const google::protobuf::Message& message, std::shared_ptr<void> held = {});
  void fail(const Status& status) { step(0, status); }

 private:
  struct Outgoing {
    grpc::ByteBuffer bytes;
    std::shared_ptr<void> held;
  };
  static constexpr size_t kAhead = 16;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

  Status take();  // reads message() out of raw_
  void step(size_t work_ended, const Status& status);
  void begin_next();  // under mutex_, as the next
  void end_with(const Status& status);

  const Reads reads_;
  grpc::ByteBuffer raw_;  // gRPC's while reading_, then take()'s

  std::recursive_mutex mutex_;  // guards what follows
  std::deque<Outgoing> out_;
  std::optional<Outgoing> writing_;
  size_t work_ = 0;
  bool reading_ = false, silent_ = false;
  bool ended_ = false, wrapped_up_ = false, finished_ = false;
  Status status_;

  RpcCall call_;  // the last: its deadlines end what is before it
};

}  // namespace rerank::rpc
