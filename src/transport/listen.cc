#include "transport/listen.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace rerank::transport {
namespace {

constexpr size_t kOtherOpenFiles = 256;  // files and sockets that are not client connections

Status cannot_listen(const std::string& host, uint16_t port, int error) {
  const char* hint = error == EACCES ? "; a port below 1024 needs privileges (see --user), or choose another --port"
                                     : "; choose another --host or --port";
  return absl::UnavailableError(str_cat("cannot listen on ", host, " port ", port, ": ", std::strerror(error), hint));
}

}  // namespace

Result<int> bind_tcp(const std::string& named, uint16_t port) {
  // As in an URL: [::1].
  const bool bracketed = named.size() > 2 && named.front() == '[' && named.back() == ']';
  const std::string host = bracketed ? named.substr(1, named.size() - 2) : named;
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &list); failed != 0) {
    return absl::InvalidArgumentError(
        str_cat("--host ", host, " is no address of this machine: ", std::string(gai_strerror(failed))));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  const int fd = ::socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot_listen(host, port, errno);
  const int on = 1, off = 0;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (list->ai_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (::bind(fd, list->ai_addr, list->ai_addrlen) == 0) return fd;
  const int error = errno;
  ::close(fd);
  return cannot_listen(host, port, error);
}

Result<uint16_t> prepare_listener(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return absl::UnavailableError(str_cat("not a socket to listen on: ", std::strerror(errno)));
  }
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

size_t allowed_connections(size_t wanted, size_t ports) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlim_t files = wanted * ports + kOtherOpenFiles;
  if (limit.rlim_cur < files) {
    const rlim_t before = std::exchange(limit.rlim_cur, std::min<rlim_t>(files, limit.rlim_max));
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  if (limit.rlim_cur >= files) return wanted;
  const size_t others = std::min<size_t>(kOtherOpenFiles, limit.rlim_cur / 2);
  const size_t allowed = std::max<size_t>(1, (limit.rlim_cur - others) / ports);
  log_warning(str_cat("only ", limit.rlim_cur, " files may be open at once: ", allowed,
                      " connections instead of --max-connections ", wanted, "; raise `ulimit -n`"));
  return std::min(wanted, allowed);
}

Status check_listener(int fd, const std::string& origin) {
  int type = 0;
  socklen_t length = sizeof(type);
  sockaddr_storage address{};
  socklen_t address_length = sizeof(address);
  const bool stream = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
  const bool named = ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_length) == 0;
  if (stream && named && (address.ss_family == AF_INET || address.ss_family == AF_INET6)) return ok_status();
  return absl::InvalidArgumentError(str_cat(origin, ": descriptor ", fd, " is no TCP socket; want ListenStream=PORT"));
}

}  // namespace rerank::transport
