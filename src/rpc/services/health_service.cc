// grpc.health.v1: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "rpc/services/reactors.h"
#include "rpc/services/services.h"

namespace rerank::rpc {
namespace {

namespace health = ::grpc::health::v1;
using health::HealthCheckRequest, health::HealthCheckResponse;

bool is_known(const RpcCore& core, const std::string& service) {
  return service.empty() || std::ranges::find(core.services, service) != core.services.end();
}

HealthCheckResponse answer(bool serving) {
  HealthCheckResponse response;
  response.set_status(serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING);
  return response;
}

void check(RpcCall& call, const HealthCheckRequest& in, HealthCheckResponse& out, const RpcDone& done) {
  if (!is_known(call.core(), in.service())) return done(absl::NotFoundError("no such service"));
  out = answer(call.core().health.serving());
  done(ok_status());
}

// Sends each change, until the client goes or the server stops.
class Watch : public CallReactor, private Health::Watcher {
 public:
  Watch(RpcCore& core, grpc::CallbackServerContext& context, const char* method)
      : CallReactor(core, context, method, Reads::kOne) {}

 private:
  google::protobuf::Message& message() override { return in_; }

  void on_message(std::shared_ptr<transport::MemoryHold>) override {
    known_ = is_known(call().core(), in_.service());
    begin_work();  // until nothing is watched any more
    call().core().health.add(*this);
    watches_ = true;
    if (call().cancelled()) leave();
  }

  void on_end() override {
    if (!watches_) fail(transport::make_error(transport::ErrorKind::kInvalid, "the call has no message"));
  }

  void on_cancel() override {
    if (watches_) leave();
  }

  void leave() {
    if (leaves_.exchange(true)) return;
    // Not under the call's lock.
    call().core().writers.post([this] {
      if (call().core().health.remove(*this)) end_work(1, ok_status());
    });
  }

  void on_change(bool serving) override {
    if (known_) {
      send(answer(serving));
    } else if (!std::exchange(told_, true)) {
      HealthCheckResponse unknown;
      unknown.set_status(HealthCheckResponse::SERVICE_UNKNOWN);
      send(unknown);
    }
    end_work(0, ok_status());  // sends it
  }
  void on_stop() override { end_work(1, absl::UnavailableError("the server stops")); }

  HealthCheckRequest in_;
  bool known_ = false;
  bool told_ = false;  // that it is not known; guarded by Health
  std::atomic<bool> watches_ = false, leaves_ = false;
};

}  // namespace

std::vector<Method> health_methods() {
  return {{"grpc.health.v1.Health/Check", unary<HealthCheckRequest, HealthCheckResponse>(check)},
          {"grpc.health.v1.Health/Watch", stream<Watch>()}};
}

}  // namespace rerank::rpc
