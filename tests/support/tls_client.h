// A blocking HTTPS client whose TLS is as good, or as bad, as a test says.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace rerank {

struct TlsClientOptions {
  std::string authority;    // a file of certificates; empty: the server's is not checked
  std::string certificate;  // files without .crt and .key; empty: none is shown
  int lowest = TLS1_2_VERSION;
  int highest = TLS1_3_VERSION;
  std::string ciphers = "DEFAULT";  // of TLS 1.2 and before
  bool fallback = false;            // says that it tried a higher version before (RFC 7507)
};

class TlsClient {
 public:
  explicit TlsClient(uint16_t port, const TlsClientOptions& options = {})
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
    SSL_CTX_set_min_proto_version(context_.get(), options.lowest);
    SSL_CTX_set_max_proto_version(context_.get(), options.highest);
    SSL_CTX_set_cipher_list(context_.get(), options.ciphers.c_str());
    if (options.fallback) SSL_CTX_set_mode(context_.get(), SSL_MODE_SEND_FALLBACK_SCSV);
    if (!options.authority.empty()) {
      SSL_CTX_load_verify_file(context_.get(), options.authority.c_str());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    }
    if (!options.certificate.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), (options.certificate + ".crt").c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), (options.certificate + ".key").c_str(), SSL_FILETYPE_PEM);
    }
    connect(port);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_);
    ok_ = SSL_connect(ssl_.get()) == 1;
  }
  ~TlsClient() { ::close(socket_); }

  bool ok() const { return ok_; }  // the handshake was done, as far as the client knows
  std::string version() const { return SSL_get_version(ssl_.get()); }

  // The common name of the server's certificate.
  std::string server_name() const {
    const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl_.get()), X509_free);
    char name[100] = "";
    if (shown) X509_NAME_get_text_by_NID(X509_get_subject_name(shown.get()), NID_commonName, name, sizeof(name));
    return name;
  }

  // The status of one request's answer; 0 if none comes. The body stands in body().
  int request(const std::string& method, const std::string& target, const std::string& body = "",
              const std::string& headers = "") {
    if (!ok_) return 0;
    const std::string bytes = method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + headers +
                              "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) <= 0) return 0;
    std::string answer;
    size_t end = std::string::npos;
    while ((end = answer.find("\r\n\r\n")) == std::string::npos) {
      if (!read(answer)) return 0;
    }
    const size_t length = std::stoul(answer.substr(answer.find("Content-Length: ") + 16));
    while (answer.size() < end + 4 + length) {
      if (!read(answer)) return 0;
    }
    body_ = answer.substr(end + 4, length);
    return std::stoi(answer.substr(9, 3));
  }
  const std::string& body() const { return body_; }

  bool send(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) > 0;
  }
  // Says the end of TLS and waits for the server's; true when it comes.
  bool say_goodbye() {
    if (SSL_shutdown(ssl_.get()) < 0) return false;
    return SSL_shutdown(ssl_.get()) == 1;
  }
  void half_close() { SSL_shutdown(ssl_.get()); }

 private:
  void connect(uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const timeval patience{30, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      throw std::runtime_error("cannot connect");
    }
  }
  bool read(std::string& answer) {
    char bytes[16384];
    const int length = SSL_read(ssl_.get(), bytes, sizeof(bytes));
    if (length > 0) answer.append(bytes, static_cast<size_t>(length));
    return length > 0;
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  int socket_ = -1;
  bool ok_ = false;
  std::string body_;
};

}  // namespace rerank
