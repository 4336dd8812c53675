// What callers are told whose message is none of the method's. Included only within this room.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <vector>

namespace rerank::rpc {

// gRPC ends a call whose message it cannot parse with UNIMPLEMENTED and no word, as if the method were not there. These
// have it end with INVALID_ARGUMENT, and say what may be wrong.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> explain_unreadable_messages();

}  // namespace rerank::rpc
