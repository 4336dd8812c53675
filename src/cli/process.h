// What the operating system gives a server when it starts, and what the server gives up.
#pragma once

#include <string>
#include <vector>

#include "rerank/status.h"

namespace rerank::cli {

// A socket that systemd, or what else starts the program in the same way, has opened for it (sd_listen_fds(3)).
struct PassedSocket {
  std::string name;  // FileDescriptorName=
  int fd = -1;
};

// Those of this process, which no other will see again. InvalidArgument when one is no TCP socket.
Result<std::vector<PassedSocket>> take_passed_sockets();

// Becomes `user` with the groups it has, for good: no privilege can come back. Nothing to do when `user` is empty.
// NotFound: no such user; PermissionDenied: we may not.
Status become_user(const std::string& user);

}  // namespace rerank::cli
