#include "server/client_stream.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace rerank::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

auto awaiting(ClientStream::ErrorCode& code) { return asio::redirect_error(asio::use_awaitable, code); }

}  // namespace

struct ClientStream::Tls {
  std::shared_ptr<asio::ssl::context> context;
  asio::ssl::stream<tcp::socket&> stream;
  bool established = false;

  Tls(tcp::socket& socket, std::shared_ptr<asio::ssl::context> shared)
      : context(std::move(shared)), stream(socket, *context) {}
};

ClientStream::ClientStream(Socket socket, std::shared_ptr<asio::ssl::context> tls) : socket_(std::move(socket)) {
  if (tls) tls_ = std::make_unique<Tls>(socket_, std::move(tls));
}

ClientStream::~ClientStream() = default;

ClientStream::Awaitable<void> ClientStream::handshake(ErrorCode& code) {
  if (!tls_) co_return;
  co_await tls_->stream.async_handshake(asio::ssl::stream_base::server, awaiting(code));
  tls_->established = !code;
}

bool ClientStream::was_clear_http(const ErrorCode& code) {
  return code.category() == asio::error::get_ssl_category() &&
         ERR_GET_REASON(static_cast<unsigned long>(code.value())) == SSL_R_HTTP_REQUEST;
}

ClientStream::Awaitable<size_t> ClientStream::read_some(std::span<char> space, ErrorCode& code) {
  const auto buffer = asio::buffer(space.data(), space.size());
  if (tls_) co_return co_await tls_->stream.async_read_some(buffer, awaiting(code));
  co_return co_await socket_.async_read_some(buffer, awaiting(code));
}

ClientStream::Awaitable<size_t> ClientStream::write_some(std::array<std::string_view, 2> parts, ErrorCode& code) {
  if (tls_ && tls_->established) {
    const std::string_view part = parts[0].empty() ? parts[1] : parts[0];  // a record holds one of them
    co_return co_await tls_->stream.async_write_some(asio::buffer(part), awaiting(code));
  }
  const std::array<asio::const_buffer, 2> buffers = {asio::buffer(parts[0]), asio::buffer(parts[1])};
  co_return co_await socket_.async_write_some(buffers, awaiting(code));
}

size_t ClientStream::look(std::span<char> space, ErrorCode& code) {
  if (!tls_) {
    char byte = 0;
    return socket_.receive(asio::buffer(&byte, 1), tcp::socket::message_peek, code);
  }
  const size_t length = tls_->stream.read_some(asio::buffer(space.data(), space.size()), code);
  if (code == asio::ssl::error::stream_truncated) code = asio::error::eof;
  return length;
}

bool ClientStream::write_now(std::string_view bytes) {
  ErrorCode code;
  const size_t sent =
      tls_ ? tls_->stream.write_some(asio::buffer(bytes), code) : socket_.send(asio::buffer(bytes), 0, code);
  return !code && sent == bytes.size();
}

ClientStream::Awaitable<void> ClientStream::finish_writing() {
  ErrorCode ignored;
  if (tls_ && tls_->established) co_await tls_->stream.async_shutdown(awaiting(ignored));
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

ClientStream::Awaitable<size_t> ClientStream::discard_some(std::span<char> space) {
  ErrorCode code;
  const size_t length = co_await socket_.async_read_some(asio::buffer(space.data(), space.size()), awaiting(code));
  co_return code ? 0 : length;
}

}  // namespace rerank::server
