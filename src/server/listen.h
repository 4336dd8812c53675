// Sockets to listen on. Apart from the server, so that a program can bind a port while it has privileges, and listen
// when it has given them up and its model is warm.
#pragma once

#include <cstdint>
#include <string>

#include "rerank/status.h"

namespace rerank::server {

// Binds a TCP socket, without listening: clients are refused until somebody does. `host`: an address or a name; "::"
// takes IPv4 too. The caller owns the descriptor. InvalidArgument: no address of this machine; Unavailable: taken or
// forbidden.
Result<int> bind_tcp(const std::string& host, uint16_t port);

// InvalidArgument unless `fd` is a TCP socket that can be listened on, and names `origin`.
Status check_listener(int fd, const std::string& origin);

}  // namespace rerank::server
