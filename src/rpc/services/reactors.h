// The shapes of methods, with the types of their messages, as the tables of services.h have them. Included only within
// this room.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "rpc/call_reactor.h"
#include "rpc/services/services.h"

namespace rerank::rpc {

// One message in, one out, which the handler has filled when it says done.
template <class In, class Out>
class UnaryReactor : public CallReactor {
 public:
  // `in` and `out` live until `done` has been called.
  using Handle = void (*)(RpcCall& call, const In& in, Out& out, const RpcDone& done);

  UnaryReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method, Handle handle)
      : CallReactor(core, context, method, Reads::kOne), handle_(handle) {}

 private:
  google::protobuf::Message& message() override { return in_; }

  void on_message(std::shared_ptr<transport::MemoryHold> memory) override {
    memory_ = std::move(memory);
    begin_work();
    const RpcDone done = [this](const Status& status) {
      const Status sent = status.ok() ? guarded([&] { send(out_); }) : status;
      out_ = Out();  // its bytes are what is held until they are taken
      end_work(1, sent);
    };
    handle_guarded(done, [&](const RpcDone& once) { handle_(call(), in_, out_, once); });
  }

  void on_end() override {
    if (!memory_) fail(transport::make_error(transport::ErrorKind::kInvalid, "the call has no message"));
  }

  const Handle handle_;
  In in_;
  Out out_;
  std::shared_ptr<transport::MemoryHold> memory_;  // null: no message yet
};

// Many messages in.
template <class In>
class StreamReactor : public CallReactor {
 public:
  StreamReactor(RpcCore& core, grpc::CallbackServerContext& context, const char* method)
      : CallReactor(core, context, method, Reads::kMany) {}

 protected:
  In& in() { return in_; }

 private:
  google::protobuf::Message& message() override { return in_; }
  void forget_message() override { in_ = In(); }

  In in_;
};

// A stream of requests that know nothing of each other, answered in their order. Each is admitted for itself.
template <class In, class Out>
class OrderedStream : public StreamReactor<In> {
 public:
  // Fills `out` for `in`, which is good until it returns.
  using Handle = void (*)(RpcCall& call, const In& in, Out& out, const RpcDone& done);

  OrderedStream(RpcCore& core, grpc::CallbackServerContext& context, const char* method, Handle handle)
      : StreamReactor<In>(core, context, method), handle_(handle) {}

 private:
  struct Slot {
    std::shared_ptr<transport::MemoryHold> memory;
    Out out;
    bool done = false;
  };

  void on_message(std::shared_ptr<transport::MemoryHold> memory) override {
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
      Status all = status;
      {
        const std::lock_guard lock(this->mutex());
        slot->done = true;
        for (; !slots_.empty() && slots_.front()->done; slots_.pop_front(), ++sent) {
          const auto& front = slots_.front();
          if (all.ok()) all = guarded([&] { this->send(front->out, front); });  // with what it holds
          front->out = Out();
        }
      }
      this->end_work(sent, all);  // what waits for others is still held
    };
    handle_guarded(done, [&](const RpcDone& once) { handle_(this->call(), this->in(), slot->out, once); });
  }

  const Handle handle_;
  std::deque<std::shared_ptr<Slot>> slots_;
  bool first_ = true;
};

template <class In, class Out>
Method::Begin unary(typename UnaryReactor<In, Out>::Handle handle) {
  return [handle](RpcCore& core, grpc::CallbackServerContext& context, const char* name) {
    return new UnaryReactor<In, Out>(core, context, name, handle);
  };
}

template <class In, class Out>
Method::Begin ordered_stream(typename OrderedStream<In, Out>::Handle handle) {
  return [handle](RpcCore& core, grpc::CallbackServerContext& context, const char* name) {
    return new OrderedStream<In, Out>(core, context, name, handle);
  };
}

// A reactor of its own.
template <class Reactor>
Method::Begin stream() {
  return [](RpcCore& core, grpc::CallbackServerContext& context, const char* name) {
    return new Reactor(core, context, name);
  };
}

}  // namespace rerank::rpc
