// Sockets to listen on. Apart from the server, so that a program can bind a port while it has privileges, and listen
// when it has given them up and its model is warm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "rerank/status.h"

namespace rerank::transport {

// Binds a TCP socket, without listening: clients are refused until somebody does. `host`: an address or a name; "::"
// takes IPv4 too. The caller owns the descriptor. InvalidArgument: no address of this machine; Unavailable: taken or
// forbidden.
Result<int> bind_tcp(const std::string& host, uint16_t port);

// Makes a bound socket ready for a thread that waits for connections elsewhere than in accept(); its port.
Result<uint16_t> prepare_listener(int fd);

// How many connections each of `ports` ports may have, of `wanted`: the process's soft limit of open files is raised
// towards its hard limit for them, and what it allows besides the files that are no connections is shared out evenly,
// so that those of one port never leave the other none. Logs a warning where it is less than wanted.
size_t allowed_connections(size_t wanted, size_t ports);

// InvalidArgument unless `fd` is a TCP socket that can be listened on, and names `origin`.
Status check_listener(int fd, const std::string& origin);

}  // namespace rerank::transport
