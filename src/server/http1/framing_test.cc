// RFC 9112's rules for requests, one raw message a row, and that how its bytes are cut on the way changes nothing.
#include "server/http1/framing.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "server/http1/request_parser.h"
#include "server/http1/request_parser_test.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

using namespace std::string_view_literals;
using Event = RequestParser::Event;

struct Row {
  const char* section;  // of RFC 9112
  const char* want;     // 200 for each request that is read, then the status that ends the connection; "..." when more
                        // bytes of a request are waited for
  std::string_view bytes;
};

// clang-format off
constexpr Row kRows[] = {
    {"2.2", "200", "GET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.2", "200", "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // a line break before the request
    {"2.2", "200", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.2", "200", "\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // as old clients end a body
    {"2.2", "400", " GET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.2", "400", "\000GET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.2", "400", "GET / HTTP/1.1\r\n Host: t\r\n\r\n"sv},  // white space between start line and first field
    {"2.2", "400", "GET / HTTP/1.1\r\n\tX: y\r\nHost: t\r\n\r\n"sv},
    {"2.2", "400", "GET / HTTP/1.1\nHost: t\n\n"sv},  // bare LF: may be read as a line break, is refused here
    {"2.2", "400", "GET / HTTP/1.1\rHost: t\r\r"sv},  // bare CR
    {"2.2", "400", "GET / HTTP/1.1\r\nHost: t\rX: y\r\n\r\n"sv},  // bare CR in a value
    {"2.2", "400", "GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n"sv},  // bare LF in a value
    {"2.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: a\000b\r\n\r\n"sv},  // NUL in a value
    {"2.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: a\001b\r\n\r\n"sv},
    {"2.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: a\177b\r\n\r\n"sv},
    {"2.2", "200", "GET / HTTP/1.1\r\nHost: t\r\nX: \303\251\r\n\r\n"sv},  // obs-text in a value
    {"2.2", "200", "GET / HTTP/1.1\r\nHost: t\r\n_x: y\r\n\r\n"sv},  // any token is a name
    {"2.3", "200", "GET / HTTP/1.0\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/2.0\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/1.2\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/0.9\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/1\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/11\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/1.1.1\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / http/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTP/1.1 \r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / HTTPS/1.1\r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET / \r\nHost: t\r\n\r\n"sv},
    {"2.3", "400", "GET /\r\nHost: t\r\n\r\n"sv},  // HTTP/0.9
    {"2.3", "400", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"sv},  // HTTP/2 without having agreed on it
    {"3", "400", "GET  / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // two blanks
    {"3", "400", "GET /  HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3", "400", "GET\t/ HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3", "400", "GET / a HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3", "400", "GET /\001 HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3", "400", "GET /\177 HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.1", "200", "get / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // a method that nobody serves; its case counts
    {"3.1", "200", "PURGE / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.1", "400", "G(T / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.1", "400", "GET: / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.1", "400", "123 / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // begins with no letter: another protocol
    {"3.1", "400", "\026\003\001\002\000\001"sv},  // TLS
    {"3.2", "400", "GET foo HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "400", "GET * HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "400", "GET ../x HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "400", "GET ftp://t/ HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "400", "GET t:80 HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2.1", "200", "GET /a?b=c&d HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2.1", "200", "GET //a HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2.2", "200", "GET http://t/a HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2.2", "200", "GET HTTPS://t/a HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2.2", "400", "GET http://t/a HTTP/1.1\r\n\r\n"sv},  // also then a Host is needed
    {"3.2.3", "200", "CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // refused as a method, later
    {"3.2.4", "200", "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\n\r\n"sv},  // no Host
    {"3.2", "400", "GET / HTTP/1.1\r\nX: y\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n"sv},  // two Hosts
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: y\r\nhOST: u\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: \r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: t:80\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: t:\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: T.Example.ORG:65535\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: [fe80::1]:\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: a_b\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: xn--bcher-kva.de\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost:   t  \r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: user:pw@t\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t:80:80\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t:8o\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t:-1\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t:123456\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t, u\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: []\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t#\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t?x\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: t\\u\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: <t>\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: \"t\"\r\n\r\n"sv},
    {"3.2", "200", "GET / HTTP/1.1\r\nHost: t;\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: h\303\251\r\n\r\n"sv},
    {"3.2", "400", "GET / HTTP/1.1\r\nHost: http://t\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost : t\r\n\r\n"sv},  // blank before the colon
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\nX\t: y\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\nX y: z\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\n: y\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\nX\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\nX(: y\r\n\r\n"sv},
    {"5.1", "400", "GET / HTTP/1.1\r\nHost: t\r\n\303\251: y\r\n\r\n"sv},
    {"5.1", "200", "GET / HTTP/1.1\r\nHost: t\r\nX:y\r\n\r\n"sv},
    {"5.1", "200", "GET / HTTP/1.1\r\nHost: t\r\nX:\t y \t\r\n\r\n"sv},
    {"5.1", "200", "GET / HTTP/1.1\r\nHost: t\r\nX:\r\n\r\n"sv},
    {"5.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\nhello"sv},
    {"5.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"sv},
    {"5.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n"sv},  // a folded line
    {"5.2", "400", "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n\tb\r\n\r\n"sv},
    {"5.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"sv},
    {"5.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length:\r\n 5\r\n\r\nhello"sv},
    {"5.2", "400", "GET / HTTP/1.1\r\nHost: t\r\n .u\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding:   chunked\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: ,chunked,\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked , \r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \"chunked\"\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, gzip\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunk\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunkedx\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked;\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked;q=1\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked x\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\013\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: 'chunked'\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: [chunked]\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xyz\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: deflate\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: compress\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: br\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip,chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: x, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: deflate, gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked,chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked, x, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "501", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.1", "400", "POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello"sv},
    {"6.1", "200", "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},  // GET may have one, too
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xyz\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"6.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"sv},
    {"6.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 05\r\n\r\nhello"sv},
    {"6.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0000000005\r\n\r\nhello"sv},
    {"6.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length:  5 \r\n\r\nhello"sv},
    {"6.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"sv},
    {"6.2", "...", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 6\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -1\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5.0\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5e0\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5 5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5,5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 5\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 6\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5;\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5x\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \"5\"\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551616\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551621\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\nhello"sv},
    {"6.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \331\245\r\n\r\nhello"sv},
    {"6.2", "413", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5001\r\n\r\n"sv},
    {"6.2", "413", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4294967301\r\n\r\n"sv},
    {"6.2", "413", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9223372036854775808\r\n\r\n"sv},
    {"6.2", "413", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\n"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"sv},  // the same twice: may be taken, is refused here
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"sv},
    {"6.3", "400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nX: y\r\ncontent-length: 0\r\n\r\nhello"sv},
    {"6.3", "200", "POST / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // a request without either has no body
    {"6.3", "200 200", "POST / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "200 200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "200 400", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nhell:GET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // what is left over is no request
    {"6.3", "200 200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"6.3", "200 200", "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // a GET's body is read, too
    {"7.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"sv},
    {"7.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n005\r\nhello\r\n000\r\n\r\n"sv},
    {"7.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"sv},
    {"7.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"sv},
    {"7.1", "...", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"sv},
    {"7.1", "...", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"sv},
    {"7.1", "...", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5"sv},
    {"7.1", "...", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\ng\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\rhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5_0\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "413", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1", "413", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1389\r\n"sv},
    {"7.1.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1.1", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n"sv},
    {"7.1.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"sv},  // a bare LF in an extension
    {"7.1.1", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;=\r\nhello\r\n0\r\n\r\n"sv},
    {"7.1.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n"sv},  // a trailer, passed over
    {"7.1.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: u\r\nAuthorization: z\r\n\r\n"sv},  // says nothing of the request
    {"7.1.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"sv},
    {"7.1.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX y\r\n\r\n"sv},
    {"7.1.2", "200", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z: 5\r\n\r\n"sv},  // goes on in the next line
    {"7.1.2", "400", "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n z: 5\r\n\r\n"sv},
    {"8", "...", "GET"sv},
    {"8", "...", "GET / HTTP/1.1\r\n"sv},
    {"8", "...", "GET / HTTP/1.1\r\nHost: t\r\n"sv},
    {"8", "...", "GET / HTTP/1.0\r\n"sv},  // as telnet sends it
    {"8", "200", "GET / HTTP/1.0\r\n\r\n"sv},
    {"8", "...", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhell"sv},
    {"9.3", "200 200", "GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // pipelined
    {"9.3", "200 200 200", "GET / HTTP/1.1\r\nHost: t\r\n\r\nPOST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhiGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},
    {"9.3", "200 200", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n"sv},  // a line break after a body
    {"9.3", "200 400", "GET / HTTP/1.1\r\nHost: t\r\n\r\njunk junk\r\n\r\n"sv},
};
// clang-format on

// What becomes of bytes that arrive in these parts.
std::string outcome(const std::vector<std::string_view>& parts) {
  RequestParser parser(1000, 5000);
  std::string seen;
  const auto note = [&](const std::string& word) { seen += (seen.empty() ? "" : " ") + word; };
  for (size_t part = 0;;) {
    switch (parser.advance()) {
      case Event::kHead:
        break;
      case Event::kRequest:
        parser.take();
        note("200");
        break;
      case Event::kError:
        note(std::to_string(transport::error_response(parser.error()).status));
        return seen;
      case Event::kNeedInput:
        if (part == parts.size()) {
          if (parser.begun()) note("...");
          return seen;
        }
        feed(parser, parts[part++]);
    }
  }
}

TEST(Framing, IsThatOfTheRfc) {
  static_assert(std::size(kRows) >= 150);
  for (const Row& row : kRows) EXPECT_EQ(outcome({row.bytes}), row.want) << row.section << ": " << row.bytes;
}

TEST(Framing, DoesNotCareWhereBytesAreCut) {
  for (const Row& row : kRows) {
    const std::string_view wanted = row.want;
    for (size_t cut = 1; cut < row.bytes.size(); ++cut) {
      const std::string got = outcome({row.bytes.substr(0, cut), row.bytes.substr(cut)});
      ASSERT_EQ(got, wanted) << row.section << " cut at " << cut << ": " << row.bytes;
    }
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < row.bytes.size(); ++i) bytes.push_back(row.bytes.substr(i, 1));
    EXPECT_EQ(outcome(bytes), wanted) << row.section << " byte by byte: " << row.bytes;
  }
}

TEST(Framing, AHeadsLimitIsTheSameHoweverItIsCut) {
  for (const size_t size : {999u, 1000u, 1001u, 1004u, 1500u}) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: t\r\nX: \r\n\r\n";
    bytes.insert(bytes.size() - 4, size - bytes.size(), 'x');
    const std::string wanted = size <= 1000 ? "200" : "431";
    EXPECT_EQ(outcome({bytes}), wanted) << size;
    for (size_t step : {1u, 3u, 64u, 1000u}) {
      std::vector<std::string_view> parts;
      for (size_t at = 0; at < size; at += step) parts.push_back(std::string_view(bytes).substr(at, step));
      EXPECT_EQ(outcome(parts), wanted) << size << " in parts of " << step;
    }
  }
}

TEST(Framing, TrailersAreNoFieldsOfTheHead) {
  RequestParser parser(1000, 5000);
  feed(parser, "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: z\r\n\r\n");
  while (parser.advance() != Event::kRequest) continue;
  EXPECT_EQ(parser.take().header("authorization"), "");
}

}  // namespace
}  // namespace rerank::server
