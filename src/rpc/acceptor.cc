#include "rpc/acceptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "base/guarded.h"
#include "base/strings.h"
#include "transport/memory_budget.h"

namespace rerank::rpc {
namespace {

constexpr int kBacklog = 4096;
constexpr int kPauseMs = 50;  // out of files: others must be closed before there can be more

std::optional<uint64_t> socket_inode(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0 || !S_ISSOCK(about.st_mode)) return std::nullopt;
  return about.st_ino;
}

std::string name_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  const bool is_v6 = address.ss_family == AF_INET6;
  const void* bytes = is_v6 ? static_cast<const void*>(&v6->sin6_addr) : static_cast<const void*>(&v4->sin_addr);
  if (::inet_ntop(address.ss_family, bytes, text, sizeof text) == nullptr) return "";
  return transport::peer_of(text);
}

Status system_error(std::string_view what) { return absl::UnavailableError(str_cat(what, ": ", std::strerror(errno))); }

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::start(int listener, const Options& options, Take take, Failed failed) {
  const int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::unique_ptr<Acceptor> acceptor(new Acceptor(listener, wake, options, std::move(take), std::move(failed)));
  if (wake < 0) return system_error("eventfd");
  if (::listen(listener, kBacklog) != 0) return system_error("cannot listen");
  acceptor->thread_ = std::thread([self = acceptor.get()] {
    if (const Status status = guarded([&] { self->serve(); }); !status.ok()) self->failed_(status);
  });
  return acceptor;
}

Acceptor::Acceptor(int listener, int wake, const Options& options, Take take, Failed failed)
    : listener_(listener), wake_(wake), options_(options), take_(std::move(take)), failed_(std::move(failed)) {
  open_.reserve(options.max_connections);
}

Acceptor::~Acceptor() {
  stop();
  ::close(listener_);
  if (wake_ >= 0) ::close(wake_);
}

void Acceptor::stop() {
  if (stopping_.exchange(true)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof(one));
  if (thread_.joinable()) thread_.join();
  ::shutdown(listener_, SHUT_RDWR);
}

void Acceptor::serve() {
  while (wait(-1)) {
    while (!stopping_ && accept_one()) continue;
  }
  while (accept_one()) continue;
}

// Until somebody connects, or the time is over.
bool Acceptor::wait(int milliseconds) {
  pollfd watched[] = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
  const nfds_t count = milliseconds < 0 ? 2 : 1;
  if (::poll(watched, count, milliseconds) < 0 && errno != EINTR) throw std::runtime_error(std::strerror(errno));
  if (count == 2 && (watched[1].revents & (POLLERR | POLLNVAL)) != 0) throw std::runtime_error("the listener is gone");
  return !stopping_;
}

bool Acceptor::accept_one() {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  const int fd = ::accept4(listener_, reinterpret_cast<sockaddr*>(&address), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || stopping_) return false;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) wait(kPauseMs);
    return true;
  }
  const std::string peer = name_of(address);
  if (open_.size() >= options_.max_connections) forget_closed();
  const auto inode = socket_inode(fd);
  bool taken = inode && open_.size() < options_.max_connections && peers_.take(peer);
  if (inode && !taken && open_.size() < options_.max_connections) {
    forget_closed();  // some of this peer's may have gone
    taken = peers_.take(peer);
  }
  if (!taken) {
    ::close(fd);
    if (options_.refused) options_.refused->add();
    return true;
  }
  open_.push_back({fd, *inode, peer});
  if (options_.open) options_.open->set(static_cast<double>(open_.size()));
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  take_(fd);
  return true;
}

void Acceptor::forget_closed() {
  std::erase_if(open_, [this](const Connection& connection) {
    if (socket_inode(connection.fd) == connection.inode) return false;
    peers_.give_back(connection.peer);
    return true;
  });
}

}  // namespace rerank::rpc
