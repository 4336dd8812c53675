// Ranks one document over gRPC, with metadata: for tests whose language has no gRPC at hand.
// Usage: grpc_rank HOST:PORT [NAME VALUE]...; the exit status is the call's.
#include <grpcpp/grpcpp.h>

#include "tei/v1/tei.grpc.pb.h"

int main(int argc, char** argv) {
  if (argc < 2) return 64;
  ::tei::v1::RerankRequest request;
  request.set_query("what do pandas eat");
  request.add_texts("bamboo");
  ::tei::v1::RerankResponse response;
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  for (int i = 2; i + 1 < argc; i += 2) context.AddMetadata(argv[i], argv[i + 1]);
  const auto stub = ::tei::v1::Rerank::NewStub(grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  return stub->Rerank(&context, request, &response).error_code();
}
