// Calls of every gRPC method, without a connection: how messages are read, plain and compressed, and what is made of
// them.
#include <google/protobuf/stubs/logging.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "rpc/services/services.h"
#include "support/fake_reranker.h"
#include "targets/targets.h"
#include "transport/memory_budget.h"
#include "transport/one_model.h"

namespace rerank::campaign {
namespace {

// What all calls share.
struct Served {
  FakeReranker reranker;
  std::shared_ptr<transport::MemoryBudget> memory = std::make_shared<transport::MemoryBudget>(size_t{64} << 20);
  api::ApiOptions options = [this] {
    api::ApiOptions made;
    made.memory = memory;
    return made;
  }();
  rpc::RpcCore core{transport::catalog_of(reranker),
                    options,
                    transport::Access(options.key_ring(), ""),
                    observe::RequestMetrics(std::make_shared<Metrics>()),
                    size_t{1} << 20,
                    std::chrono::minutes(10)};
  std::vector<rpc::Method> methods = rpc::all_methods();
};

using Bytes = grpc::ByteBuffer;

// What gRPC is to a reactor: gives it these messages, and takes its answers.
class Stream : public grpc::ServerCallbackReaderWriter<Bytes, Bytes> {
 public:
  Stream(rpc::CallReactor& reactor, std::vector<Bytes> messages) : reactor_(reactor), messages_(std::move(messages)) {
    BindReactor(&reactor_);
  }

  // Until the call is over. The client of a call that waits for something else goes then.
  void run() {
    grpc::ServerBidiReactor<Bytes, Bytes>& reactor = reactor_;
    std::unique_lock lock(mutex_);
    for (size_t taken = 0, cancelled = 0;;) {
      const bool happens =
          wake_.wait_for(lock, std::chrono::milliseconds(3), [this] { return read_ || writes_ || status_; });
      if (status_) break;
      if (!happens) {
        require(++cancelled < 3000);  // it ends once its client has gone
        lock.unlock();
        if (cancelled == 1) reactor.OnCancel();
        lock.lock();
        continue;
      }
      Bytes* const read = std::exchange(read_, nullptr);
      const bool writes = !read && std::exchange(writes_, false), ok = taken < messages_.size() && cancelled == 0;
      if (read && ok) *read = messages_[taken++];
      lock.unlock();
      if (read) reactor.OnReadDone(ok);
      if (writes) reactor.OnWriteDone(cancelled == 0);
      lock.lock();
    }
    require(status_->error_code() != grpc::UNKNOWN);
    lock.unlock();
    reactor.OnDone();
  }

 private:
  template <class Change>
  void change(Change make) {
    const std::lock_guard lock(mutex_);
    make();
    wake_.notify_one();
  }
  void Finish(grpc::Status status) override {
    change([&] { status_ = std::move(status); });
  }
  void SendInitialMetadata() override {}
  void Read(Bytes* message) override {
    change([&] { read_ = message; });
  }
  void Write(const Bytes*, grpc::WriteOptions) override {
    change([&] { writes_ = true; });
  }
  void WriteAndFinish(const Bytes*, grpc::WriteOptions, grpc::Status status) override { Finish(std::move(status)); }
  grpc::internal::ServerReactor* reactor() override { return &reactor_; }
  void CallOnDone() override {}

  rpc::CallReactor& reactor_;
  const std::vector<Bytes> messages_;
  std::mutex mutex_;
  std::condition_variable wake_;
  Bytes* read_ = nullptr;  // guarded by mutex_, as the next
  bool writes_ = false;
  std::optional<grpc::Status> status_;
};

Bytes bytes_of(Input input) {
  const grpc::Slice slice(input.data(), input.size());
  return {&slice, 1};
}

}  // namespace

// The method, where its second message begins, and the messages.
void grpc_message(Input input) {
  static Served& served = []() -> Served& {
    google::protobuf::SetLogHandler(nullptr);
    return *new Served;
  }();
  Reader reader(input);
  const rpc::Method& method = served.methods[reader.byte() % served.methods.size()];
  const uint8_t split = reader.byte();
  const Input bytes = reader.rest();
  std::vector<Bytes> messages;
  if (split > 0 && split < bytes.size()) messages.push_back(bytes_of(bytes.substr(0, split)));
  messages.push_back(bytes_of(split < bytes.size() ? bytes.substr(split) : bytes));
  {
    grpc::CallbackServerContext context;
    rpc::CallReactor* const reactor = method.begin(served.core, context, method.name);
    reactor->start();
    Stream(*reactor, std::move(messages)).run();
  }
  // The last copy of a result may be with the thread that made it.
  for (int waits = 0; served.memory->held() > 0; ++waits) {
    require(waits < 3000);
    std::this_thread::sleep_for(std::chrono::milliseconds(waits < 10 ? 0 : 3));
  }
}

}  // namespace rerank::campaign
