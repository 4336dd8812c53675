#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <stdexcept>

namespace rerank {

// A port of 127.0.0.1 that was free a moment ago, and still is when a program gets to it: none of those that the kernel
// hands out to connections and to listeners that let it choose, as tests beside this one do all the time.
inline uint16_t free_port() {
  constexpr unsigned kFirst = 20000, kCount = 12000;  // below Linux' own, 32768-60999
  std::random_device random;
  for (int tries = 0; tries < 100; ++tries) {
    const auto port = static_cast<uint16_t>(kFirst + random() % kCount);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    if (bound) return port;
  }
  throw std::runtime_error("no free port");
}

}  // namespace rerank
