// The services that a GrpcServer registers. Each lives as long as the server and calls on `core`.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "rpc/call.h"

namespace rerank::rpc {

std::vector<std::unique_ptr<grpc::Service>> make_tei_services(RpcCore& core);  // tei.v1: tei_services.cc
std::unique_ptr<grpc::Service> make_rerank_service(RpcCore& core);             // rerank.v1: rerank_service.cc

}  // namespace rerank::rpc
