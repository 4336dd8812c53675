// Beast asserts that the last chunk's header has 5 bytes before it is read again, which "0\r\n\r" does not; the code
// behind the assertion waits for more, as it should. Its other assertions are left out with it.
#define BOOST_DISABLE_ASSERTS
#include "server/http1/request_parser.h"

#include <algorithm>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "server/http1/framing.h"
#include "transport/errors.h"

namespace rerank::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

constexpr size_t kReadBytes = 4096;             // while waiting for a head: what an idle connection holds
constexpr size_t kBodyReadBytes = 64u << 10;    // while a body is coming
constexpr size_t kFirstBodyBytes = 256u << 10;  // an announced length is believed up to here, then as it comes
constexpr size_t kBodySlack = 64;               // spare capacity that the JSON parser wants after the body

Status explain(beast::error_code code, size_t max_body_bytes) {
  if (code == http::error::body_limit) {
    return transport::make_error(
        transport::ErrorKind::kBodyTooLarge,
        absl::StrFormat("the body is larger than %d bytes: send fewer or shorter documents, or raise "
                        "--max-body-bytes",
                        max_body_bytes));
  }
  return transport::make_error(transport::ErrorKind::kMalformed, "not a valid HTTP/1.1 request: " + code.message());
}

}  // namespace

struct RequestParser::Impl {
  using Parser = http::request_parser<http::buffer_body>;

  size_t max_header_bytes;
  size_t max_body_bytes;
  beast::flat_buffer input;
  std::optional<Parser> parser;
  std::string body;
  size_t body_size = 0;  // bytes of `body` that are filled
  bool head_done = false;
  size_t head_bytes = 0;            // that were consumed
  LineProgress lines;               // in `input`
  std::vector<HeaderField> fields;  // of the head; a trailer's are not among them (RFC 9110 6.5.1)
  Status error;

  void begin() {
    parser.emplace();
    parser->header_limit(
        std::numeric_limits<std::uint32_t>::max());  // Beast looks at it only where a head comes in parts
    head_bytes = 0;
    parser->body_limit(max_body_bytes);
  }

  // Line breaks before a request are ignored (old clients end a body with one).
  void skip_line_breaks() {
    const auto* bytes = static_cast<const char*>(input.data().data());
    size_t count = 0;
    while (count < input.size() && (bytes[count] == '\r' || bytes[count] == '\n')) ++count;
    consume(count);
  }

  // Beast looks at a line again only when the end of the head is there, which may never come.
  Status check_lines() {
    const auto bytes = input.data();
    const char* broken = find_broken_line({static_cast<const char*>(bytes.data()), bytes.size()}, lines, head_done);
    if (!broken) return ok_status();
    return transport::make_error(transport::ErrorKind::kMalformed,
                                 std::string("not a valid HTTP/1.1 request: ") + broken);
  }

  void consume(size_t bytes) {
    if (bytes == 0) return;
    input.consume(bytes);
    lines = {};
  }

  Event fail(Status status) {
    error = std::move(status);
    return Event::kError;
  }

  Event read_head() {
    if (!parser) skip_line_breaks();
    if (input.size() == 0) return Event::kNeedInput;
    if (!parser) {
      // Another protocol may never send the end of a head: refuse it by its first byte.
      const unsigned char first = *static_cast<const unsigned char*>(input.data().data());
      if (!absl::ascii_isalpha(first)) {
        return fail(transport::make_error(
            transport::ErrorKind::kMalformed,
            first == 0x16 ? "this port speaks plain HTTP, not TLS: use http://" : "not a valid HTTP/1.1 request"));
      }
      begin();
    }
    if (const Status lines = check_lines(); !lines.ok()) return fail(lines);
    beast::error_code code;
    const size_t used = parser->put(input.data(), code);
    head_bytes += used;
    consume(used);
    const bool more = code == http::error::need_more;
    if (code && !more) return fail(explain(code, max_body_bytes));
    if (head_bytes + (more ? input.size() : 0) > max_header_bytes) {
      return fail(
          transport::make_error(transport::ErrorKind::kHeaderTooLarge,
                                absl::StrFormat("the request's head is larger than %d bytes", max_header_bytes)));
    }
    if (more) return Event::kNeedInput;
    const auto& message = parser->get();
    for (const auto& field : message) {
      std::string name(field.name_string());
      absl::AsciiStrToLower(&name);
      fields.emplace_back(std::move(name), std::string(field.value()));
    }
    const Status framing =
        check_framing(message.version() < 11, {message.method_string().data(), message.method_string().size()},
                      {message.target().data(), message.target().size()}, fields);
    if (!framing.ok()) return fail(framing);
    head_done = true;
    parser->eager(true);
    return Event::kHead;
  }

  void grow_body() {
    const auto announced = parser->content_length();
    const size_t least = announced ? std::min<size_t>(*announced, kFirstBodyBytes) : kReadBytes;
    size_t size = std::max({least, body_size * 2, kReadBytes});
    if (announced) size = std::min<size_t>(size, *announced);
    size = std::max(std::min(size, max_body_bytes), body_size + 1);
    body.reserve(size + kBodySlack);
    body.resize(size);
  }

  Event read_body() {
    while (!parser->is_done()) {
      if (input.size() == 0) return Event::kNeedInput;
      if (body_size == body.size()) grow_body();
      auto& target = parser->get().body();
      target.data = body.data() + body_size;
      target.size = body.size() - body_size;
      beast::error_code code;
      consume(parser->put(input.data(), code));
      body_size = body.size() - target.size;
      if (code == http::error::need_buffer) continue;
      if (code == http::error::need_more) {
        // A chunk's head or trailer is not all here yet. It has no business being large.
        if (const Status lines = check_lines(); !lines.ok()) return fail(lines);
        if (input.size() < kBodyReadBytes) return Event::kNeedInput;
        return fail(transport::make_error(transport::ErrorKind::kMalformed,
                                          "not a valid HTTP/1.1 request: a chunk's head is too long"));
      }
      if (code) return fail(explain(code, max_body_bytes));
    }
    body.resize(body_size);
    return Event::kRequest;
  }
};

RequestParser::RequestParser(size_t max_header_bytes, size_t max_body_bytes) : impl_(std::make_unique<Impl>()) {
  impl_->max_header_bytes = max_header_bytes;
  impl_->max_body_bytes = max_body_bytes;
}

RequestParser::~RequestParser() = default;

std::span<char> RequestParser::space() {
  const size_t size = impl_->head_done ? kBodyReadBytes : kReadBytes;
  if (impl_->input.size() == 0 && impl_->input.capacity() > size) impl_->input = beast::flat_buffer();
  const auto space = impl_->input.prepare(size);
  return {static_cast<char*>(space.data()), space.size()};
}

void RequestParser::commit(size_t length) { impl_->input.commit(length); }

RequestParser::Event RequestParser::advance() {
  if (!impl_->error.ok()) return Event::kError;
  return impl_->head_done ? impl_->read_body() : impl_->read_head();
}

bool RequestParser::begun() const { return impl_->parser || impl_->input.size() > 0; }
bool RequestParser::head_done() const { return impl_->head_done; }
size_t RequestParser::body_capacity() const { return impl_->body.capacity() > kBodySlack ? impl_->body.capacity() : 0; }
// Each field is held twice: by Beast, and as it is handed over.
size_t RequestParser::head_capacity() const { return impl_->input.capacity() + 2 * impl_->head_bytes; }

std::string_view RequestParser::field(std::string_view name) const {
  if (!impl_->parser) return {};
  const auto value = impl_->parser->get()[boost::beast::string_view(name.data(), name.size())];
  return {value.data(), value.size()};
}

bool RequestParser::keep_alive() const { return impl_->parser->keep_alive(); }
bool RequestParser::http_1_0() const { return impl_->parser->get().version() < 11; }
bool RequestParser::is_head() const { return impl_->parser->get().method() == http::verb::head; }

bool RequestParser::expects_continue() const {
  const auto expect = impl_->parser->get()[http::field::expect];
  return beast::iequals(expect, "100-continue") && !http_1_0() && !impl_->parser->is_done() && impl_->input.size() == 0;
}

bool RequestParser::unknown_expectation() const {
  const auto expect = impl_->parser->get()[http::field::expect];
  return !expect.empty() && !beast::iequals(expect, "100-continue");
}

transport::HttpRequest RequestParser::take() {
  const auto& message = impl_->parser->get();
  transport::HttpRequest request;
  request.method = std::string(message.method_string());
  request.target = std::string(message.target());
  request.headers = std::exchange(impl_->fields, {});
  request.body = std::move(impl_->body);
  impl_->body = {};
  impl_->body_size = 0;
  impl_->head_done = false;
  impl_->parser.reset();
  return request;
}

const Status& RequestParser::error() const { return impl_->error; }

}  // namespace rerank::server
