// RFC 9112's rules for a request's head that decide where the message ends and whom it is for. A head that breaks them
// is refused and its connection closed: a proxy in front may have read it otherwise.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "rerank/status.h"

namespace rerank::server {

using HeaderField = std::pair<std::string, std::string>;  // name in lower case, value

// `http_1_0`: the version is HTTP/1.0, else it is HTTP/1.1. Errors: kMalformed (400); kUnimplemented (501) for a
// transfer coding besides chunked, which is the one that is read here.
Status check_framing(bool http_1_0, std::string_view method, std::string_view target,
                     std::span<const HeaderField> fields);

// The lines of a head, or of a chunk's head or trailer, as far as they are here: nullptr, or what is wrong. A line ends
// with CRLF and goes on in no other; a trailer's may, none of which is kept (RFC 9112 5.2 and 7.1.2). Stops after an
// empty line: what follows is none of them. `progress`: how far the same bytes have been looked at before, when there
// were fewer of them.
struct LineProgress {
  size_t begin = 0;    // of the line that is looked at
  size_t next = 0;     // the first byte that was not
  bool ended = false;  // there was an empty line
};
const char* find_broken_line(std::string_view bytes, LineProgress& progress, bool in_trailer);

// Whether `value` is a Host field's: a name or an address, and perhaps a port (RFC 9110 7.2). An empty one is.
bool is_valid_host(std::string_view value);

}  // namespace rerank::server
