#include "server/tls.h"

#include <openssl/ssl.h>

#include <chrono>
#include <string_view>
#include <utility>

#include "base/file_stamp.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::server {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

constexpr std::chrono::seconds kLookEvery(1);
// TLS 1.2; those of 1.3 are all good.
constexpr char kCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr unsigned char kSessionContext[] = "rerankd";

// HTTP/1.1 is what we speak; who asks for something else only is refused.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in,
                    unsigned in_length, void*) {
  for (unsigned at = 0; at < in_length; at += 1u + in[at]) {
    const std::string_view name(reinterpret_cast<const char*>(in + at + 1), in[at]);
    if (name != "http/1.1" && name != "http/1.0") continue;
    *out = in + at + 1;
    *out_length = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status wrong(const char* flag, const std::string& path, const error_code& code) {
  return absl::InvalidArgumentError(str_cat(flag, " ", path, ": ", code.message()));
}

Result<std::shared_ptr<ssl::context>> read_context(const std::string& cert, const std::string& key,
                                                   const std::string& client_ca) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const raw = context->native_handle();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_cipher_list(raw, kCiphers);
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  SSL_CTX_set_session_id_context(raw, kSessionContext, sizeof(kSessionContext) - 1);
  error_code code;
  context->use_certificate_chain_file(cert, code);
  if (code) return wrong("--tls-cert", cert, code);
  // Nobody is there to be asked for a passphrase.
  context->set_password_callback([](size_t, ssl::context::password_purpose) { return std::string(); }, code);
  context->use_private_key_file(key, ssl::context::pem, code);
  if (code) return wrong("--tls-key", key, code);
  if (SSL_CTX_check_private_key(raw) != 1) {
    return absl::InvalidArgumentError(str_cat("--tls-key ", key, ": is not the key of --tls-cert ", cert));
  }
  if (client_ca.empty()) return context;
  context->load_verify_file(client_ca, code);
  if (code) return wrong("--tls-client-ca", client_ca, code);
  SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(client_ca.c_str()));
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, code);
  return context;
}

}  // namespace

std::string TlsFiles::stamp() const {
  return str_cat(file_stamp(cert_), "|", file_stamp(key_), "|", client_ca_.empty() ? "" : file_stamp(client_ca_));
}

Result<std::unique_ptr<TlsFiles>> TlsFiles::open(const ServerOptions& options) {
  if (options.tls_cert.empty() || options.tls_key.empty()) {
    return absl::InvalidArgumentError("TLS needs both --tls-cert and --tls-key");
  }
  auto files = std::make_unique<TlsFiles>();
  files->cert_ = options.tls_cert;
  files->key_ = options.tls_key;
  files->client_ca_ = options.tls_client_ca;
  files->stamp_ = files->stamp();
  ASSIGN_OR_RETURN(auto context, read_context(files->cert_, files->key_, files->client_ca_));
  files->context_ = std::move(context);
  return files;
}

void TlsFiles::reload() {
  const std::lock_guard lock(mutex_);
  stamp_.clear();
  looked_ = TimePoint();
}

std::shared_ptr<ssl::context> TlsFiles::current() {
  const std::lock_guard lock(mutex_);
  const TimePoint now = Clock::now();
  if (now - looked_ < kLookEvery) return context_;
  looked_ = now;
  std::string found = stamp();
  if (found == stamp_) return context_;
  // Also when they are wrong: half of a change is told once, and the other half is another change.
  stamp_ = std::move(found);
  auto context = read_context(cert_, key_, client_ca_);
  if (context.ok()) {
    context_ = *std::move(context);
    log_info(str_cat("--tls-cert ", cert_, ": read again"));
  } else {
    log_error(str_cat(message_of(context.status()), "; the certificates read before stay"));
  }
  return context_;
}

}  // namespace rerank::server
