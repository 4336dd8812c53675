#include "rpc/grpc_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/strings.h"
#include "rpc/services.h"

namespace rerank::rpc {
namespace {

constexpr unsigned kLookForCertificatesSeconds = 1;
constexpr size_t kMessagesAtOnce = 32;              // of the largest size, on their way in: as HTTP's bodies
constexpr size_t kLeastMemory = size_t{256} << 20;  // for all connections, however small messages are

// "[::1]:50051", "127.0.0.1:50051"
std::string address_of(const ServerOptions& options) {
  const bool v6 = options.host.find(':') != std::string::npos;
  return str_cat(v6 ? "[" : "", options.host, v6 ? "]:" : ":", options.grpc_port);
}

// Reads the certificates again when their files change.
std::shared_ptr<grpc::ServerCredentials> credentials(const ServerOptions& options) {
  if (options.tls_cert.empty()) return grpc::InsecureServerCredentials();
  using grpc::experimental::FileWatcherCertificateProvider;
  const auto files = std::make_shared<FileWatcherCertificateProvider>(
      options.tls_key, options.tls_cert, options.tls_client_ca, kLookForCertificatesSeconds);
  grpc::experimental::TlsServerCredentialsOptions tls(files);
  tls.watch_identity_key_cert_pairs();
  if (!options.tls_client_ca.empty()) {
    tls.watch_root_certs();
    tls.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

// The limits that HTTP connections have, as far as gRPC knows them.
void limit(const ServerOptions& options, grpc::ServerBuilder& builder) {
  const auto capped = [](size_t value) { return static_cast<int>(std::min<size_t>(value, INT32_MAX)); };
  builder.SetMaxReceiveMessageSize(capped(options.max_body_bytes));
  builder.SetMaxSendMessageSize(-1);
  grpc::ResourceQuota memory("messages");
  memory.Resize(std::max(kLeastMemory, kMessagesAtOnce * options.max_body_bytes));
  builder.SetResourceQuota(memory);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, capped(options.max_header_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, capped(options.idle_timeout_ms));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, capped(options.header_timeout_ms));
  // A peer that has silently gone is found out; one that asks all the time whether we are there is sent away.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, capped(options.idle_timeout_ms));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two servers on one port are a mistake
}

}  // namespace

struct GrpcServer::Impl {
  RpcCore core;
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  std::chrono::milliseconds drain_timeout;

  Impl(const ServerOptions& options, Parts parts)
      : core{parts.reranker, parts.api, transport::Access(parts.api.key_ring(), ""),
             observe::RequestMetrics(parts.metrics, observe::kGrpcMetricNames), options.max_body_bytes},
        services(make_tei_services(core)),
        drain_timeout(options.drain_timeout_ms) {
    services.push_back(make_rerank_service(core));
  }
};

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(const ServerOptions& options, Parts parts) {
  [[maybe_unused]] static const bool once = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  auto impl = std::make_unique<Impl>(options, std::move(parts));
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_of(options), credentials(options), &impl->port);
  limit(options, builder);
  for (const auto& service : impl->services) builder.RegisterService(service.get());
  impl->server = builder.BuildAndStart();
  if (!impl->server || impl->port == 0) {
    return absl::UnavailableError(str_cat("cannot listen for gRPC on ", address_of(options),
                                          ": choose another --host or --grpc-port, and check the --tls files"));
  }
  auto* health = impl->server->GetHealthCheckService();
  health->SetServingStatus(true);
  for (const char* service :
       {"rerank.v1.Reranker", "tei.v1.Info", "tei.v1.Rerank", "tei.v1.Predict", "tei.v1.Tokenize"})
    health->SetServingStatus(service, true);
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() { drain_and_stop(); }

uint16_t GrpcServer::port() const { return static_cast<uint16_t>(impl_->port); }

void GrpcServer::drain_and_stop() {
  if (!impl_->server) return;
  impl_->server->GetHealthCheckService()->Shutdown();
  impl_->server->Shutdown(std::chrono::system_clock::now() + impl_->drain_timeout);
  impl_->server->Wait();
  impl_->server.reset();
}

}  // namespace rerank::rpc
