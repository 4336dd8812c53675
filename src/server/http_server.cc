#include "server/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "server/connection.h"
#include "server/tls.h"
#include "transport/listen.h"

namespace rerank::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kRefusalsAtOnce = 256;  // connections beyond the limit that are told so; further ones are just closed
constexpr size_t kLeavingAtOnce = 1024;  // connections that make room, and have not been closed yet
constexpr std::chrono::seconds kAbortTime(10);
constexpr std::chrono::milliseconds kAcceptPause(50);
// Connections that are taken in one turn of an I/O thread. One a turn would let a flood wait in the kernel, and probes
// after it, while those that are open keep the thread busy.
constexpr size_t kAcceptedAtOnce = 32;

std::string peer_of_socket(const tcp::socket& socket) {
  error_code code;
  const auto endpoint = socket.remote_endpoint(code);
  return code ? std::string() : transport::peer_of(endpoint.address().to_string());
}

}  // namespace

struct HttpServer::Impl {
  ServerCore core;
  std::shared_ptr<Metrics> metrics;
  asio::io_context io;
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  Connection::Strand accept_strand{asio::make_strand(io)};
  tcp::acceptor acceptor{accept_strand};
  asio::steady_timer accept_pause{accept_strand};
  std::promise<void> accept_ended;
  std::vector<std::thread> threads;
  uint16_t port = 0;
  bool stopped = false;

  Impl(const ServerOptions& options, HttpHandler handler, std::shared_ptr<Metrics> shared_metrics)
      : core{options, std::move(handler), observe::RequestMetrics(shared_metrics)},
        metrics(std::move(shared_metrics)),
        io(static_cast<int>(std::max<size_t>(options.io_threads, 1))) {
    if (!metrics) return;
    core.open_connections = &metrics->gauge("rerankd_http_connections", "Open client connections.");
    core.failed_handshakes = &metrics->counter("rerankd_tls_failed_handshakes_total", "Connections that TLS ended.");
    core.received_bytes = &metrics->counter("rerankd_http_received_bytes_total", "Bytes read from clients.");
    core.sent_bytes = &metrics->counter("rerankd_http_sent_bytes_total", "Bytes of answers written to clients.");
  }

  Status listen() {
    const ServerOptions& options = core.options;
    // Who names any of them wants TLS: half of it is an error, and not a server in the clear.
    if (!options.tls_cert.empty() || !options.tls_key.empty() || !options.tls_client_ca.empty()) {
      ASSIGN_OR_RETURN(auto files, TlsFiles::open(options));
      core.tls = std::move(files);
    }
    int fd = options.bound_socket;
    if (fd < 0) {
      ASSIGN_OR_RETURN(const auto bound, transport::bind_tcp(options.host, options.port));
      fd = bound;
    }
    try {
      sockaddr_storage address{};
      socklen_t length = sizeof(address);
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
      acceptor.assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), fd);
      acceptor.listen(4096);
      acceptor.non_blocking(true);
      port = acceptor.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      return absl::UnavailableError(absl::StrFormat("cannot listen on %s port %d: %s; choose another --host or --port",
                                                    options.host, options.port, error.code().message()));
    }
    return ok_status();
  }

  void run() {
    for (;;) {
      try {
        io.run();
        return;
      } catch (const std::exception& error) {
        log_error(std::string("an I/O handler failed: ") + error.what());
      }
    }
  }

  // Of the connections whose clients are waited for, the one that has been for longest; of `peer`, where it is not
  // empty.
  std::shared_ptr<Connection> longest_waiting(const std::string& peer) {
    std::shared_ptr<Connection> found;
    const std::lock_guard lock(core.mutex);
    for (const auto& [key, weak] : core.connections) {
      std::shared_ptr<Connection> connection = weak.lock();
      if (!connection || (!peer.empty() && connection->peer() != peer)) continue;
      if (connection->waits_since() < (found ? found->waits_since() : TimePoint::max())) found = std::move(connection);
    }
    return found;
  }

  // Whether a connection of `peer` may be kept; where that is an option, another is closed for it.
  bool has_room(const std::string& peer) {
    const auto full = [&] {
      const std::lock_guard lock(core.mutex);
      return core.connections.size() - core.refusing - core.leaving >= core.options.max_connections;
    };
    const auto make_room = [&](const std::string& of) {
      if (core.when_full != WhenFull::kMakeRoom || core.leaving >= kLeavingAtOnce) return false;
      const auto longest = longest_waiting(of);
      return longest && longest->make_room();
    };
    if (full() && !make_room("")) return false;
    return core.peers.take(peer) || (make_room(peer) && core.peers.take(peer));
  }

  void welcome(Connection::Strand strand, tcp::socket socket) {
    const size_t refusals = std::min(kRefusalsAtOnce, 1 + core.options.max_connections / 8);
    std::string peer = peer_of_socket(socket);
    const bool refuse = !has_room(peer);
    if (refuse && core.refusing >= refusals) return;
    if (refuse) ++core.refusing;
    auto tls = core.tls ? core.tls->current() : nullptr;
    std::make_shared<Connection>(core, std::move(strand), std::move(socket), std::move(tls), std::move(peer), refuse)
        ->start();
  }

  // Connections that the kernel has made already.
  void accept_more(size_t most) {
    for (; most > 0; --most) {
      error_code code;
      Connection::Strand strand = asio::make_strand(io);
      tcp::socket socket(strand);
      acceptor.accept(socket, code);
      if (code) return;
      welcome(std::move(strand), std::move(socket));
    }
  }

  asio::awaitable<void> accept_connections() {
    while (!core.draining) {
      error_code code;
      Connection::Strand strand = asio::make_strand(io);
      tcp::socket socket(strand);
      co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, code));
      if (!code) {
        welcome(std::move(strand), std::move(socket));
        accept_more(kAcceptedAtOnce - 1);
      } else if (!core.draining && code != asio::error::connection_aborted) {
        // Mostly out of files: others must close before there can be more.
        accept_pause.expires_after(kAcceptPause);
        co_await accept_pause.async_wait(asio::redirect_error(asio::use_awaitable, code));
      }
    }
    // Connections that the kernel has already made for us have been accepted as far as their clients know.
    accept_more(SIZE_MAX);
    error_code ignored;
    acceptor.close(ignored);
    accept_ended.set_value();
  }

  void for_each_connection(void (Connection::*call)()) {
    std::vector<std::shared_ptr<Connection>> alive;
    {
      const std::lock_guard lock(core.mutex);
      for (const auto& [key, weak] : core.connections) {
        if (auto connection = weak.lock()) alive.push_back(std::move(connection));
      }
    }
    for (const auto& connection : alive) (connection.get()->*call)();
  }

  bool wait_until_empty(std::chrono::milliseconds limit) {
    std::unique_lock lock(core.mutex);
    return core.emptied.wait_for(lock, limit, [&] { return core.connections.empty(); });
  }
};

Result<std::unique_ptr<HttpServer>> HttpServer::start(const ServerOptions& options, HttpHandler handler,
                                                      std::shared_ptr<Metrics> metrics, RequestRules rules,
                                                      WhenFull when_full) {
  ServerOptions allowed = options;
  allowed.max_connections = transport::allowed_connections(options.max_connections, options.grpc_port != 0 ? 2 : 1);
  auto impl = std::make_unique<Impl>(allowed, std::move(handler), std::move(metrics));
  if (!rules.budget) rules.budget = std::make_shared<transport::MemoryBudget>(options.max_memory_bytes);
  impl->core.rules = std::move(rules);
  impl->core.when_full = when_full;
  impl->core.workers = std::make_unique<WorkerPool>(std::max<size_t>(options.parse_threads, 1));
  impl->core.pages = std::make_unique<WorkerPool>(1);
  impl->core.endings = std::make_unique<WorkerPool>(1);
  RETURN_IF_ERROR(impl->listen());
  asio::co_spawn(
      impl->accept_strand, [&core = *impl] { return core.accept_connections(); }, asio::detached);
  for (size_t i = 0; i < std::max<size_t>(options.io_threads, 1); ++i) {
    impl->threads.emplace_back([&core = *impl] { core.run(); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { drain_and_stop(); }

uint16_t HttpServer::port() const { return impl_->port; }

size_t HttpServer::open_connections() const {
  const std::lock_guard lock(impl_->core.mutex);
  return impl_->core.connections.size();
}

void HttpServer::reload_certificates() {
  if (impl_->core.tls) impl_->core.tls->reload();
}

void HttpServer::drain_and_stop() {
  if (std::exchange(impl_->stopped, true)) return;
  {
    const std::lock_guard lock(impl_->core.mutex);
    impl_->core.draining = true;
  }
  asio::post(impl_->accept_strand, [impl = impl_.get()] {
    error_code ignored;
    impl->acceptor.cancel(ignored);
    impl->accept_pause.cancel();
  });
  impl_->accept_ended.get_future().wait();
  impl_->for_each_connection(&Connection::drain);
  if (!impl_->wait_until_empty(std::chrono::milliseconds(impl_->core.options.drain_timeout_ms))) {
    log_warning("requests were still running when the drain timeout ended; they were dropped");
    impl_->for_each_connection(&Connection::abort);
    impl_->wait_until_empty(kAbortTime);
  }
  {
    const std::lock_guard lock(impl_->core.gate->mutex);
    impl_->core.gate->open = false;
  }
  impl_->core.workers.reset();
  impl_->core.pages.reset();
  impl_->core.endings.reset();
  impl_->work.reset();
  impl_->io.stop();
  for (std::thread& thread : impl_->threads) thread.join();
}

}  // namespace rerank::server
