// The methods that are served, and the services that they make. Included only within this room.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rpc/call_reactor.h"

namespace rerank::rpc {

// One method: its name, "package.Service/Method", and what begins a call of it. Methods are given as in a table:
//
//   {"tei.v1.Tokenize/Tokenize", unary<tei::EncodeRequest, tei::EncodeResponse>(encode)}
struct Method {
  using Begin = std::function<CallReactor*(RpcCore& core, grpc::CallbackServerContext& context, const char* name)>;
  const char* name;
  Begin begin;
};

std::vector<Method> tei_methods();         // tei.v1: tei_services.cc
std::vector<Method> rerank_methods();      // rerank.v1: rerank_service.cc
std::vector<Method> health_methods();      // grpc.health.v1: health_service.cc
std::vector<Method> reflection_methods();  // grpc.reflection.v1alpha: reflection_service.cc

std::vector<Method> all_methods();

// What a server registers to serve them, whose services they are all the same. Lives as long as the server, and calls
// on `core`.
std::unique_ptr<grpc::Service> make_service(RpcCore& core, std::vector<Method> methods);

}  // namespace rerank::rpc
