#include "rpc/unreadable.h"

#include <string_view>

#include "api/routes.h"

namespace rerank::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;

// One for each call.
class Explain : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      // Our own handlers never end a call so without saying why.
      if (status.error_code() == grpc::UNIMPLEMENTED && status.error_message().empty()) {
        methods->ModifySendStatus(
            {grpc::INVALID_ARGUMENT,
             "the message is not one that this method takes: broken, of another .proto, or with a "
             "text that is not UTF-8"});
      }
    }
    methods->Proceed();
  }
};

class Factory : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // None for methods that are not there, which end with UNIMPLEMENTED, too.
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    const std::string_view method = info->method();
    return method.starts_with('/') && api::route_of_method(method.substr(1)) != nullptr ? new Explain : nullptr;
  }
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> explain_unreadable_messages() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<Factory>());
  return factories;
}

}  // namespace rerank::rpc
