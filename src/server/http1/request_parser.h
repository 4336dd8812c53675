// Bytes in, requests out: the part of HTTP/1 that needs no socket. Feed it what arrives; it reports the end of a head,
// the end of a request, or what is wrong. Bytes of pipelined requests are kept for the next one. One thread.
//
//   RequestParser parser(limits);
//   for (;;) switch (parser.advance()) {
//     case kNeedInput: n = read(fd, parser.space()); parser.commit(n); break;
//     case kHead:      send "100 Continue" if parser.expects_continue(); break;
//     case kRequest:   serve(parser.take()); break;
//     case kError:     answer parser.error() and close
//   }
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "rerank/status.h"
#include "transport/http.h"

namespace rerank::server {

class RequestParser {
 public:
  enum class Event { kNeedInput, kHead, kRequest, kError };

  RequestParser(size_t max_header_bytes, size_t max_body_bytes);
  ~RequestParser();

  std::span<char> space();     // where the next bytes go; never empty; valid until the next call
  void commit(size_t length);  // that many bytes of space() are filled

  // Reads what is there up to the next event. kHead comes once per request, also for one without a body.
  Event advance();

  bool begun() const;            // some bytes of the next request are here
  bool head_done() const;        // between kHead and take()
  size_t body_capacity() const;  // bytes that the body being received takes
  size_t head_capacity() const;  // and its head, with what has come and is not read yet

  // A field of the head, as far as it has been read: also when the request is refused. Empty: not there, or not yet.
  std::string_view field(std::string_view name) const;

  // After kHead:
  bool keep_alive() const;  // as the client asks (HTTP/1.0: only when it asks)
  bool http_1_0() const;
  bool expects_continue() const;     // and has not begun to send its body
  bool unknown_expectation() const;  // an Expect we do not know
  bool is_head() const;              // the method is HEAD

  transport::HttpRequest take();  // after kRequest; ready for the next request
  const Status& error() const;    // after kError; kinds as in transport/errors.h

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rerank::server
