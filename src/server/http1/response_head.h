// The bytes before an answer's body.
#pragma once

#include <string>
#include <string_view>

#include "transport/http.h"

namespace rerank::server {

// How one answer goes onto the wire.
struct Framing {
  bool close = false;       // tell the client that the connection ends
  bool keep_alive = false;  // tell an HTTP/1.0 client that it does not
};

// Status line and headers up to and including the empty line. Line breaks in header values are dropped.
std::string response_head(const transport::HttpResponse& response, const Framing& framing);

std::string_view reason_phrase(int status);  // "OK"; "" for a status we do not use

}  // namespace rerank::server
