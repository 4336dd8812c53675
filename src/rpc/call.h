// One gRPC call, apart from how its messages come and go (services/), and what all calls share. Included only within
// this room: the headers of gRPC are heavy.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/options.h"
#include "api/routes.h"
#include "base/guarded.h"
#include "base/worker_pool.h"
#include "observe/request_metrics.h"
#include "observe/request_record.h"
#include "rerank/catalog.h"
#include "rpc/deadlines.h"
#include "rpc/services/health.h"
#include "transport/callers/access.h"
#include "transport/errors.h"

namespace rerank::rpc {

// What all calls share. Outlives them.
struct RpcCore {
  std::shared_ptr<Catalog> catalog;
  api::ApiOptions options;
  transport::Access access;
  observe::RequestMetrics requests;
  size_t max_message_bytes = 0;
  // An answer that is not taken, or a message that is not there, for so long ends its call.
  std::chrono::milliseconds patience;
  Deadlines transfers{patience};
  // gRPC does not tell how much of a message has come. One that is not there after so long may be of the largest size,
  // and is counted so.
  Deadlines arrivals{std::chrono::milliseconds(100)};
  Health health;
  std::atomic<size_t> open_calls{0};
  std::vector<std::string> services;  // the names of those that are served; set before the first call
  // Long messages are read here, and others that may become so: not on gRPC's threads, which all calls share.
  WorkerPool readers{1};
  // Answers are written here: the thread that computed scores has better things to do.
  WorkerPool writers{1};
  // Texts are tokenized, and ids decoded, for clients that want to see them here: not where answers wait to be written.
  WorkerPool tokenizers{1};

  // Has `write` make an answer there, and tells how that has ended. `write` also is the last that uses what it has.
  template <class Write>
  void write(const std::function<void(const Status&)>& done, Write write) {
    run(writers, done, std::move(write));
  }

  // Has `work`, which returns nothing or a Status, done by a pool; otherwise as write().
  template <class Work>
  static void run(WorkerPool& pool, const std::function<void(const Status&)>& done, Work work) {
    auto task = [done, work = std::move(work)]() mutable { done(guarded(work)); };
    if (const Status posted = guarded([&] { pool.post(task); }); !posted.ok()) done(posted);
  }
};

// Of one call, what HTTP/2 lets a client send before it is read.
inline constexpr size_t kWindowBytes = 65535;

// A stream's texts together are limited as one message is; gRPC has the same code for that.
inline Status too_much_text() {
  return transport::make_error(transport::ErrorKind::kOverloaded,
                               "the texts of this stream are larger than --max-body-bytes");
}

// Tells how a call, or a part of it, has ended. Called once, on any thread; must not block.
using RpcDone = std::function<void(const Status&)>;

// Hands `done` to `handle(done)`. What is thrown there is the end of it, unless that has been told before.
template <class Handle>
void handle_guarded(RpcDone done, Handle handle) {
  const auto answered = std::make_shared<std::atomic<bool>>(false);
  const RpcDone once = [answered, done = std::move(done)](const Status& status) {
    if (!answered->exchange(true)) done(status);
  };
  if (const Status status = guarded([&] { handle(once); }); !status.ok()) once(status);
}

class RpcCall {
 public:
  // `method`: "package.Service/Method", a literal that the table of routes has. `fail` is told what ends the call from
  // outside, on any thread, and must not block.
  RpcCall(RpcCore& core, grpc::CallbackServerContext& context, const char* method, RpcDone fail);
  ~RpcCall() { --core_.open_calls; }

  RpcCore& core() { return core_; }

  // Whether the caller may ask (once more): its key and the key's rate.
  Status admit();

  // A request with what the call says besides its message: deadline, priority, cache, cancellation. After admit().
  // kInvalid when the metadata are wrong.
  Result<RerankRequest> request();

  // The model for this call: what `named` says, else the metadata "x-rerankd-model" or "model", else the default. The
  // answer's metadata say which it is. Errors: as Catalog::find().
  Result<std::shared_ptr<Reranker>> choose(std::string_view query, std::string_view named = {}, bool wait = true);

  // Around a message that is waited for: what may have come of it is counted. Errors: as MemoryHold::resize().
  Status begin_arrival();
  void end_arrival();

  // What a message and its request hold until the last copy of the result is gone: nothing yet.
  std::shared_ptr<transport::MemoryHold> new_hold();

  // What one request of the call has come to, for metrics, log and trace. Any thread.
  void note_ranked(const RerankResponse& result);
  void note_model(const ModelInfo& model);

  // Counts the call and makes what its client is answered. Once.
  grpc::Status finish(const Status& status);

  // Around what gRPC has been given and the client has not taken.
  void begin_sending() { sending_.arm(); }
  void end_sending() { sending_.disarm(); }
  // Around the time in which nothing happens but that a message is waited for: silence ends the call.
  void begin_silence() { silence_.arm(); }
  void end_silence() { silence_.disarm(); }

  // Counts so many more bytes until the call is over: an answer that is much larger than its message.
  Status keep(size_t bytes) { return own_.add(bytes); }

  // The client has gone, or no longer wants it. Any thread.
  void cancel() { cancellation_->cancel(); }
  bool cancelled() const { return cancellation_->cancelled(); }

 private:
  std::string_view metadata(const char* name) const;
  std::string client() const;  // whose share of memory it takes; under mutex_
  void count_largest();        // a message that is long in coming

  RpcCore& core_;
  grpc::CallbackServerContext& context_;
  const RpcDone fail_;
  std::weak_ptr<transport::MemoryHold> last_hold_;  // of the message that is read
  const char* method_;
  const api::Route* route_;  // null: asked for a key, and counted as one that ranks nothing
  std::shared_ptr<Cancellation> cancellation_ = std::make_shared<Cancellation>();
  TimePoint begin_ = Clock::now();
  int priority_ = 0;  // of the caller's key
  mutable std::mutex mutex_;
  observe::RequestRecord record_;  // guarded by mutex_, as the next
  bool arrives_ = false;
  transport::MemoryHold own_;  // the call itself, and the message that is arriving
  // The last members: their destructors wait for callbacks, which use the others.
  Deadlines::Deadline sending_, silence_, arrival_;
};

}  // namespace rerank::rpc
