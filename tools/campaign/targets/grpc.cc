// Messages of gRPC, called on the services without a connection: what protobuf reads, and what is made of it.
#include <google/protobuf/stubs/logging.h>
#include "rerank/v1/rerank.grpc.pb.h"

#include <future>

#include "rpc/call.h"
#include "rpc/services.h"
#include "support/fake_reranker.h"
#include "targets/targets.h"
#include "tei/v1/tei.grpc.pb.h"
#include "transport/one_model.h"

namespace rerank::campaign {
namespace {

// Keeps what the services need.
struct Services {
  FakeReranker reranker;
  api::ApiOptions options;
  rpc::RpcCore core{transport::catalog_of(reranker),
                    options,
                    transport::Access(options.key_ring(), ""),
                    observe::RequestMetrics(std::make_shared<Metrics>()),
                    size_t{1} << 20,
                    std::chrono::minutes(10)};
  std::unique_ptr<grpc::Service> own = rpc::make_rerank_service(core);
  std::vector<std::unique_ptr<grpc::Service>> tei = rpc::make_tei_services(core);

  template <class Service>
  Service* find() {
    if (auto* found = dynamic_cast<Service*>(own.get())) return found;
    for (const auto& service : tei)
      if (auto* found = dynamic_cast<Service*>(service.get())) return found;
    return nullptr;
  }
};

template <class Request, class Response, class Service>
void call(Services& services, Input bytes,
          grpc::ServerUnaryReactor* (Service::*method)(grpc::CallbackServerContext*, const Request*, Response*)) {
  Request request;
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  Service* const service = services.find<Service>();
  require(service != nullptr);
  Response response;
  grpc::CallbackServerContext context;
  grpc::ServerUnaryReactor* const reactor = (service->*method)(&context, &request, &response);
  // What a call posts there, the second perhaps from the first: it is over when these have had their turns.
  for (WorkerPool* pool : {&services.core.tokenizers, &services.core.writers}) {
    std::promise<void> reached;
    pool->post([&] { reached.set_value(); });
    reached.get_future().wait();
  }
  reactor->OnDone();
  (void)response.SerializeAsString();
}

}  // namespace

void grpc_message(Input input) {
  static Services& services = []() -> Services& {
    google::protobuf::SetLogHandler(nullptr);
    return *new Services;
  }();
  Reader reader(input);
  const uint8_t method = reader.byte();
  const Input bytes = reader.rest();
  using Own = v1::Reranker::CallbackService;
  switch (method % 5) {
    case 0:
      return call(services, bytes, &Own::Rerank);
    case 1:
      return call(services, bytes, &Own::Score);
    case 2:
      return call(services, bytes, &tei::v1::Rerank::CallbackService::Rerank);
    case 3:
      return call(services, bytes, &tei::v1::Predict::CallbackService::PredictPair);
    default:
      return call(services, bytes, &tei::v1::Tokenize::CallbackService::Decode);
  }
}

}  // namespace rerank::campaign
