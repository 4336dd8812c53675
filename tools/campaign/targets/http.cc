// Bytes of a connection: heads, framing, codings of bodies.
#include <algorithm>
#include <vector>

#include "server/http1/content_coding.h"
#include "server/http1/request_parser.h"
#include "targets/targets.h"
#include "transport/errors.h"

namespace rerank::campaign {
namespace {

using server::RequestParser;

// Small, so that inputs of some kilobytes reach and pass them.
constexpr size_t kMaxHead = 1024, kMaxBody = 4096, kMaxPlain = 16384;

// What a connection reads off these bytes when they come in pieces of `step` (0: all at once).
std::vector<std::string> requests_in(std::string_view bytes, size_t step) {
  RequestParser parser(kMaxHead, kMaxBody);
  std::vector<std::string> read;
  while (true) {
    switch (parser.advance()) {
      case RequestParser::Event::kNeedInput: {
        if (bytes.empty()) return read;
        const auto space = parser.space();
        require(!space.empty());
        const size_t length = std::min({space.size(), bytes.size(), step == 0 ? bytes.size() : step});
        std::copy_n(bytes.data(), length, space.data());
        bytes.remove_prefix(length);
        parser.commit(length);
        break;
      }
      case RequestParser::Event::kHead:
        (void)parser.expects_continue(), (void)parser.unknown_expectation(), (void)parser.is_head();
        require(parser.body_capacity() <= kMaxBody + 4096);
        break;
      case RequestParser::Event::kRequest: {
        const bool keeps = parser.keep_alive();
        const transport::HttpRequest request = parser.take();
        require(request.body.size() <= kMaxBody);
        read.push_back(request.method + " " + request.target + "\n" + request.body);
        for (const auto& [name, value] : request.headers) read.back() += "\n" + name + ": " + value;
        if (!keeps) return read;
        break;
      }
      case RequestParser::Event::kError:  // some of what is wrong is seen earlier where less has come
        require(!parser.error().ok());
        return read;
    }
  }
}

}  // namespace

// A request hides in no other: where bytes are cut on their way does not change what is read.
void http_request(Input input) {
  Reader reader(input);
  const size_t step = reader.byte();
  const auto whole = requests_in(reader.rest(), 0);
  require(whole == requests_in(reader.rest(), step % 64 + 1));
}

void http_body(Input input) {
  Reader reader(input);
  const std::string coding(reader.part().substr(0, 256));
  (void)server::accepted_coding(coding);
  std::string body(reader.rest());
  if (server::decode_content(coding, kMaxPlain, body).ok()) require(body.size() <= kMaxPlain || coding.empty());
  transport::HttpResponse response;
  response.body = body.substr(0, kMaxPlain);
  server::encode_content(server::accepted_coding(coding), response);
}

}  // namespace rerank::campaign
