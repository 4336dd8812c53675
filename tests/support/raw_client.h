// A blocking HTTP client that does exactly what a test says, byte by byte: for the cases that a well-behaved client
// never makes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace rerank {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Throws std::runtime_error when the peer does not behave as the call expects: a test then fails with its message.
class RawClient {
 public:
  // `from`: the last byte of the loopback address that the client has. `window`: bytes that its kernel takes before it
  // is read; 0: as usual.
  explicit RawClient(uint16_t port, uint8_t from = 1, int window = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (window > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
    if (from != 1) {
      sockaddr_in own{};
      own.sin_family = AF_INET;
      own.sin_addr.s_addr = htonl(0x7f000000u + from);
      ::bind(socket_, reinterpret_cast<sockaddr*>(&own), sizeof(own));
    }
    const timeval patience{60, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      close();
      throw std::runtime_error("cannot connect");
    }
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)), input_(std::move(other.input_)) {}
  ~RawClient() { close(); }

  // False when the server has closed its side meanwhile.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // One whole request with Content-Length.
  bool send_request(std::string_view method, std::string_view target, std::string_view body,
                    std::string_view headers = "") {
    std::string bytes;
    bytes.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n").append(headers);
    if (!body.empty()) bytes.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    bytes.append("\r\n").append(body);
    return send(bytes);
  }

  void half_close() { ::shutdown(socket_, SHUT_WR); }

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

  // Closes with a reset instead of an orderly end.
  void reset() {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
  }

  RawResponse read_response(bool head_only = false) {
    RawResponse response;
    const size_t end = read_until("\r\n\r\n");
    std::string_view head(input_.data(), end);
    if (head.substr(0, 5) != "HTTP/") throw std::runtime_error("not an HTTP answer: " + input_.substr(0, 80));
    response.status = std::atoi(std::string(head.substr(9, 3)).c_str());
    size_t line = head.find("\r\n");
    while (line != std::string_view::npos && line + 2 < head.size()) {
      const size_t next = head.find("\r\n", line + 2);
      const std::string_view field = head.substr(line + 2, next == std::string_view::npos ? next : next - line - 2);
      const size_t colon = field.find(": ");
      std::string name(field.substr(0, colon));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      response.headers[name] = std::string(field.substr(colon + 2));
      line = next;
    }
    input_.erase(0, end + 4);
    const auto length = response.headers.find("content-length");
    if (length == response.headers.end() || head_only) return response;
    const size_t size = std::strtoull(length->second.c_str(), nullptr, 10);
    while (input_.size() < size) {
      if (!fill()) throw std::runtime_error("the answer's body ended early");
    }
    response.body = input_.substr(0, size);
    input_.erase(0, size);
    return response;
  }

  RawResponse request(std::string_view method, std::string_view target, std::string_view body = "",
                      std::string_view headers = "") {
    send_request(method, target, body, headers);
    return read_response(method == "HEAD");
  }

  // Whether something has come, without waiting for it.
  bool has_input() {
    char byte;
    return !input_.empty() || ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  // Takes some bytes, as they are; 0: there are no more.
  size_t take(size_t most) {
    char bytes[4096];
    const ssize_t length = ::recv(socket_, bytes, std::min(most, sizeof(bytes)), 0);
    return length > 0 ? static_cast<size_t>(length) : 0;
  }

  // Reads until this has come. False: the server has closed its side first.
  bool receives(std::string_view mark) {
    while (input_.find(mark) == std::string::npos) {
      if (!fill()) return false;
    }
    return true;
  }

  // True when the server ends the connection without sending anything more.
  bool at_end() { return input_.empty() && !fill(); }

 private:
  bool fill() {
    char bytes[65536];
    const ssize_t length = ::recv(socket_, bytes, sizeof(bytes), 0);
    if (length <= 0) return false;
    input_.append(bytes, static_cast<size_t>(length));
    return true;
  }

  size_t read_until(std::string_view mark) {
    for (;;) {
      if (const size_t at = input_.find(mark); at != std::string::npos) return at;
      if (!fill()) throw std::runtime_error("no answer; received: " + input_.substr(0, 200));
    }
  }

  int socket_;
  std::string input_;
};

}  // namespace rerank
