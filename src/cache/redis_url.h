// redis://[[user]:password@]host[:port][/database], taken apart.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rerank/status.h"

namespace rerank::cache {

struct RedisUrl {
  std::string host;
  uint16_t port = 6379;
  std::string user, password;  // percent-decoded; empty: none
  unsigned database = 0;
  // For log lines: without the password.
  std::string shown() const;
};

// InvalidArgument, without the password, for what is no such URL; Unimplemented for rediss:// and unix sockets.
Result<RedisUrl> parse_redis_url(std::string_view url);

}  // namespace rerank::cache
