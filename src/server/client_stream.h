// The bytes of one client connection, in the clear or over TLS. Everything runs on the connection's strand. Included
// only by connection.h: the Asio headers are heavy.
#pragma once

#include <utility>  // before awaitable.hpp, which forgets it

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <span>
#include <string_view>

namespace boost::asio::ssl {
class context;
}

namespace rerank::server {

class ClientStream {
 public:
  using ErrorCode = boost::system::error_code;
  using Socket = boost::asio::ip::tcp::socket;
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;

  // `tls`: null: in the clear.
  ClientStream(Socket socket, std::shared_ptr<boost::asio::ssl::context> tls);
  ~ClientStream();

  Socket& socket() { return socket_; }  // for options, waits, cancelling and closing

  // Before anything else is read or written. Nothing to do in the clear.
  Awaitable<void> handshake(ErrorCode& code);
  // The handshake failed since the client speaks HTTP in the clear.
  static bool was_clear_http(const ErrorCode& code);

  Awaitable<size_t> read_some(std::span<char> space, ErrorCode& code);
  Awaitable<size_t> write_some(std::array<std::string_view, 2> parts, ErrorCode& code);

  // What is there already: bytes put into `space` (in the clear left where they are: only their number is told).
  // `code`: would_block when nothing is there, eof when the client has closed its sending side.
  size_t look(std::span<char> space, ErrorCode& code);
  bool keeps_what_it_looks_at() const { return !tls_; }

  // Writes at once and whole, or not.
  bool write_now(std::string_view bytes);

  // Tells the client that nothing more will be sent. Over TLS this may wait for the client, until the socket is
  // cancelled.
  Awaitable<void> finish_writing();

  // Bytes that nobody will look at; 0 at the end.
  Awaitable<size_t> discard_some(std::span<char> space);

 private:
  struct Tls;

  Socket socket_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace rerank::server
