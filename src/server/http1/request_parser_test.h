// Bytes for a parser, as tests give them.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>

#include "server/http1/request_parser.h"

namespace rerank::server {

inline void feed(RequestParser& parser, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto space = parser.space();
    const size_t length = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), length);
    parser.commit(length);
    bytes.remove_prefix(length);
  }
}

}  // namespace rerank::server
