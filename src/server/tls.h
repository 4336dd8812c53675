// What the server shows and asks for over TLS: certificates from files that are read again when they change, and
// versions and ciphers that are good today: TLS 1.2 with ephemeral keys and authenticated encryption, and 1.3.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "rerank/options.h"
#include "rerank/status.h"
#include "rerank/types.h"

namespace rerank::server {

// Thread-safe.
class TlsFiles {
 public:
  // Reads options.tls_cert, tls_key and tls_client_ca. Errors name the flag, the file and what is wrong with it.
  static Result<std::unique_ptr<TlsFiles>> open(const ServerOptions& options);

  // For the next connection. Looks for changes once a second; files that are wrong are told to the log, and what was
  // read before stays.
  std::shared_ptr<boost::asio::ssl::context> current();

  // Has current() read the files the next time, whether they have changed or not.
  void reload();

 private:
  std::string stamp() const;

  std::string cert_, key_, client_ca_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::string stamp_;
  TimePoint looked_{};
};

}  // namespace rerank::server
