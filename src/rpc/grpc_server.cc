#include "rpc/grpc_server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "rpc/acceptor.h"
#include "rpc/services/services.h"
#include "transport/listen.h"

namespace rerank::rpc {
namespace {

constexpr unsigned kLookForCertificatesSeconds = 1;
constexpr int kStreamsOfAConnection = 100;  // what Envoy and nginx allow; clients wait, or open more connections
constexpr int kPlainAndGzip = 1 << GRPC_COMPRESS_NONE | 1 << GRPC_COMPRESS_GZIP;
constexpr size_t kLeastMemory = size_t{256} << 20;  // for all connections, however small messages are

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
void limit(const ServerOptions& options, const RpcCore& core, grpc::ServerBuilder& builder) {
  const auto capped = [](size_t value) { return static_cast<int>(std::min<size_t>(value, INT32_MAX)); };
  builder.SetMaxReceiveMessageSize(capped(options.max_body_bytes));
  builder.SetMaxSendMessageSize(-1);
  // What arrives is counted in the account of all requests; this bounds what comes before it is.
  if (core.options.memory) {
    grpc::ResourceQuota memory("messages");
    memory.Resize(std::max(kLeastMemory, core.options.memory->total()));
    builder.SetResourceQuota(memory);
  }
  // A client may send this of a call before it is read, however fast it is.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, static_cast<int>(kWindowBytes));
  // gRPC would decompress a message of any size: messages.cc does it, and counts.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder.AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, kPlainAndGzip);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, capped(options.max_header_bytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, capped(options.idle_timeout_ms));
  if (options.grpc_connection_age_ms > 0)
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, capped(options.grpc_connection_age_ms));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsOfAConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, capped(options.header_timeout_ms));
  // A peer that has silently gone is found out; one that asks all the time whether we are there is sent away.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, capped(options.idle_timeout_ms));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

struct GrpcServer::Impl {
  RpcCore core;
  std::unique_ptr<grpc::Service> service;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections;
  std::unique_ptr<Acceptor> acceptor;
  uint16_t port = 0;
  std::chrono::milliseconds drain_timeout;

  Impl(const ServerOptions& options, const Parts& parts)
      : core{parts.catalog,
             parts.api,
             transport::Access(parts.api.key_ring(), ""),
             observe::RequestMetrics(parts.metrics, observe::kGrpcMetricNames),
             options.max_body_bytes,
             std::chrono::milliseconds(options.body_timeout_ms)},
        service(make_service(core, all_methods())),
        drain_timeout(options.drain_timeout_ms) {}

  // Takes connections from now on.
  Status listen(const ServerOptions& options, Metrics* metrics) {
    int listener = options.bound_grpc_socket;
    if (listener < 0) {
      ASSIGN_OR_RETURN(const auto bound, transport::bind_tcp(options.host, options.grpc_port));
      listener = bound;
    }
    ASSIGN_OR_RETURN(const auto bound_port, transport::prepare_listener(listener));
    port = bound_port;
    Acceptor::Options limits{.max_connections = transport::allowed_connections(options.max_connections, 2)};
    if (metrics) {
      limits.open = &metrics->gauge("rerankd_grpc_connections", "Client connections of gRPC that were open last.");
      limits.refused = &metrics->counter("rerankd_grpc_refused_connections_total",
                                         "Connections to the gRPC port beyond --max-connections.");
    }
    const auto take = [this](int fd) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
      connection.fd = fd;
      connections->HandleNewConnection(&connection);
    };
    const auto failed = [down = core.options.grpc_failed](const Status& error) {
      log_error(str_cat("gRPC takes no more connections: ", message_of(error)));
      *down = true;
    };
    ASSIGN_OR_RETURN(acceptor, Acceptor::start(listener, limits, take, failed));
    return ok_status();
  }
};

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(const ServerOptions& options, const Parts& parts) {
  [[maybe_unused]] static const bool once = [] {
    // It writes a line to stderr for each message that is not UTF-8: as many as a client likes.
    google::protobuf::SetLogHandler(nullptr);
    return true;
  }();
  auto impl = std::make_unique<Impl>(options, parts);
  grpc::ServerBuilder builder;
  impl->connections = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials(options));
  limit(options, impl->core, builder);
  builder.RegisterService(impl->service.get());
  impl->server = builder.BuildAndStart();
  if (!impl->server) return absl::UnavailableError("cannot serve gRPC: check the --tls files");
  if (Status status = impl->listen(options, parts.metrics.get()); !status.ok()) return with_context(status, "gRPC");
  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(impl)));
  server->set_serving(true);
  return server;
}

void GrpcServer::set_serving(bool serving) { impl_->core.health.set_serving(serving); }

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() { drain_and_stop(); }

size_t GrpcServer::open_calls() const { return impl_->core.open_calls; }

uint16_t GrpcServer::port() const { return impl_->port; }

void GrpcServer::drain_and_stop() {
  if (!impl_->server) return;
  impl_->core.health.stop();
  impl_->acceptor->stop();
  impl_->server->Shutdown(std::chrono::system_clock::now() + impl_->drain_timeout);
  impl_->server->Wait();
  impl_->server.reset();
}

}  // namespace rerank::rpc
