#include "server/http1/request_parser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "server/http1/request_parser_test.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

using Event = RequestParser::Event;

constexpr size_t kHeaderLimit = 1000, kBodyLimit = 5000;

// Everything that a parser makes of `bytes` which arrive in the given pieces: the requests, then "error" or "more".
std::vector<std::string> read_all(std::string_view bytes, const std::vector<size_t>& pieces) {
  RequestParser parser(kHeaderLimit, kBodyLimit);
  std::vector<std::string> seen;
  size_t piece = 0;
  for (;;) {
    switch (parser.advance()) {
      case Event::kHead:
        break;
      case Event::kError:
        seen.push_back("error " + std::to_string(static_cast<int>(transport::kind_of(parser.error()))));
        return seen;
      case Event::kRequest: {
        const transport::HttpRequest request = parser.take();
        seen.push_back(request.method + " " + request.target + " " + std::to_string(request.headers.size()) + " " +
                       request.body);
        break;
      }
      case Event::kNeedInput:
        if (bytes.empty()) {
          seen.push_back("more");
          return seen;
        }
        const size_t length = std::min(bytes.size(), pieces[piece++ % pieces.size()]);
        feed(parser, bytes.substr(0, length));
        bytes.remove_prefix(length);
    }
  }
}

const char* const kStreams[] = {
    "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "\r\n\r\nPOST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello\r\nGET /b?c HTTP/1.0\r\n\r\nPUT /d "
    "HTTP/1.1\r\nHost: t\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: "
    "chunked\r\n\r\n3\r\nabc\r\n0a;ext=\"1\"\r\n0123456789\r\n0\r\nTrailer: "
    "x\r\n\r\nGET /n HTTP/1.1\r\nHost: t\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5001\r\n\r\n",
    "GARBAGE\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
};

TEST(RequestParser, DoesNotCareHowBytesArrive) {
  for (const char* stream : kStreams) {
    const std::vector<std::string> whole = read_all(stream, {std::string_view(stream).size()});
    for (const std::vector<size_t>& pieces : std::vector<std::vector<size_t>>{{1}, {2}, {3, 1}, {7}, {16, 5, 1}}) {
      EXPECT_EQ(read_all(stream, pieces), whole) << stream;
    }
  }
  EXPECT_EQ(read_all(kStreams[1], {1}),
            (std::vector<std::string>{"POST /a 2 hello", "GET /b?c 0 ", "PUT /d 1 ", "more"}));
  EXPECT_EQ(read_all(kStreams[2], {1})[0], "POST /a 2 abc0123456789");
}

TEST(RequestParser, KeepsItsLimits) {
  const auto kind = [](const std::string& stream) { return read_all(stream, {512}).back(); };
  const std::string header_limit = "error " + std::to_string(static_cast<int>(transport::ErrorKind::kHeaderTooLarge));
  const std::string body_limit = "error " + std::to_string(static_cast<int>(transport::ErrorKind::kBodyTooLarge));
  EXPECT_EQ(kind("GET /" + std::string(2000, 'x')), header_limit);
  EXPECT_EQ(kind("GET / HTTP/1.1\r\nA: " + std::string(2000, 'x') + "\r\n\r\n"), header_limit);
  const std::string head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: ";
  EXPECT_EQ(kind(head + "5000\r\n\r\n" + std::string(5000, 'x')), "more");
  EXPECT_EQ(kind(head + "5001\r\n\r\n"), body_limit);
  EXPECT_EQ(kind("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1389\r\n"), body_limit);
  EXPECT_EQ(kind("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), body_limit);
  EXPECT_EQ(kind("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100000, 'x'))
                .substr(0, 5),
            "error");
}

TEST(RequestParser, AnnouncedLengthsAreNotBelieved) {
  RequestParser parser(kHeaderLimit, 1u << 30);
  feed(parser, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\nx");
  EXPECT_EQ(parser.advance(), Event::kHead);
  EXPECT_EQ(parser.advance(), Event::kNeedInput);
  EXPECT_LT(parser.body_capacity(), 1u << 20);
}

// Seeded, so that a failure can be repeated.
TEST(RequestParser, SurvivesMutations) {
  std::mt19937 random(20261122);
  for (int round = 0; round < 20000; ++round) {
    std::string stream = kStreams[random() % std::size(kStreams)];
    for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = random() % stream.size();
      switch (random() % 4) {
        case 0:
          stream[at] = static_cast<char>(random());
          break;
        case 1:
          stream.erase(at, 1 + random() % 5);
          break;
        case 2:
          stream.insert(at, 1, "\r\n :0,;\0f"[random() % 9]);
          break;
        default:
          stream.insert(at, stream.substr(random() % stream.size(), random() % 20));
      }
      if (stream.empty()) stream = "x";
    }
    std::vector<std::string> whole = read_all(stream, {stream.size()});
    std::vector<std::string> pieces = read_all(stream, {1 + random() % 9, 1 + random() % 3});
    // A head that arrives in pieces is only looked at when its end is there; an error in it may then still be to come.
    if (pieces.back() == "more" || whole.back() == "more") {
      pieces.pop_back();
      whole.pop_back();
    }
    EXPECT_EQ(whole, pieces) << stream;
  }
}

}  // namespace
}  // namespace rerank::server
