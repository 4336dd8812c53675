#include "rpc/services/services.h"

#include <grpcpp/generic/async_generic_service.h>  // the one public header that has CallbackBidiHandler
#include <grpcpp/impl/rpc_service_method.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace rerank::rpc {
namespace {

using grpc::internal::RpcServiceMethod;

// What the generated services do, but that every method is a stream of bytes.
class BytesService : public grpc::Service {
 public:
  BytesService(RpcCore& core, std::vector<Method> methods) : methods_(std::move(methods)) {
    for (const Method& method : methods_) {
      paths_.push_back(std::string("/") + method.name);
      const std::string service(method.name, std::string_view(method.name).find('/'));
      if (std::ranges::find(core.services, service) == core.services.end()) core.services.push_back(service);
    }
    for (size_t i = 0; i < methods_.size(); ++i) {
      AddMethod(new RpcServiceMethod(paths_[i].c_str(), RpcServiceMethod::BIDI_STREAMING, nullptr));
      const auto begin = [&core, &method = methods_[i]](grpc::CallbackServerContext* context) {
        CallReactor* const call = method.begin(core, *context, method.name);
        call->start();
        return call;
      };
      using Handler = grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>;
      MarkMethodRawCallback(static_cast<int>(i), new Handler(begin));
    }
  }

 private:
  const std::vector<Method> methods_;
  std::vector<std::string> paths_;  // gRPC keeps pointers to them
};

}  // namespace

std::vector<Method> all_methods() {
  std::vector<Method> all;
  for (std::vector<Method> some : {rerank_methods(), tei_methods(), health_methods(), reflection_methods()})
    std::move(some.begin(), some.end(), std::back_inserter(all));
  return all;
}

std::unique_ptr<grpc::Service> make_service(RpcCore& core, std::vector<Method> methods) {
  return std::make_unique<BytesService>(core, std::move(methods));
}

}  // namespace rerank::rpc
