// Of a build without gRPC (-DRERANKD_GRPC=OFF).
#include "rpc/grpc_server.h"

namespace rerank::rpc {

struct GrpcServer::Impl {};

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(const ServerOptions&, const Parts&) {
  return absl::UnimplementedError("--grpc-port: this program was built without gRPC");
}
GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrpcServer::~GrpcServer() = default;
uint16_t GrpcServer::port() const { return 0; }
size_t GrpcServer::open_calls() const { return 0; }
void GrpcServer::set_serving(bool) {}
void GrpcServer::drain_and_stop() {}

}  // namespace rerank::rpc
