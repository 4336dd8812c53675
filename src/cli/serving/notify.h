// What systemd is told of a service with Type=notify (sd_notify(3)); nothing where nobody listens.
#pragma once

#include <string>

namespace rerank::cli {

// `state`: lines such as "READY=1" or "STATUS=...". The socket is read from the environment once.
void notify_service_manager(const std::string& state);

}  // namespace rerank::cli
