// Certificates for tests, made anew each time: an authority, and what it signs for 127.0.0.1.
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace rerank {

// Files end in .crt and .key.
class Authority {
 public:
  // `folder` must exist; the authority's own certificate becomes <folder>/<name>.crt.
  Authority(std::filesystem::path folder, const std::string& name)
      : folder_(std::move(folder)), key_(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
    fill(certificate_.get(), name, key_.get());
    add_extension(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
    X509_sign(certificate_.get(), key_.get(), EVP_sha256());
    write_certificate(folder_ / (name + ".crt"), certificate_.get());
  }

  // Writes <folder>/<file>.crt and .key, whose subject is `name`. Replaces both at once, as far as that goes.
  void issue(const std::string& file, const std::string& name) const {
    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), X509_free);
    fill(made.get(), name, key.get());
    add_extension(made.get(), NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    X509_set_issuer_name(made.get(), X509_get_subject_name(certificate_.get()));
    X509_sign(made.get(), key_.get(), EVP_sha256());
    write_certificate(folder_ / (file + ".new"), made.get());
    FILE* const out = std::fopen((folder_ / (file + ".key.new")).c_str(), "w");
    PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(out);
    std::filesystem::rename(folder_ / (file + ".key.new"), folder_ / (file + ".key"));
    std::filesystem::rename(folder_ / (file + ".new"), folder_ / (file + ".crt"));
  }

 private:
  static void fill(X509* certificate, const std::string& name, EVP_PKEY* key) {
    static long serial = 0;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_pubkey(certificate, key);
  }

  static void add_extension(X509* certificate, int kind, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    if (!extension) throw std::runtime_error("certificate extension");
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static void write_certificate(const std::filesystem::path& path, X509* certificate) {
    FILE* const out = std::fopen(path.c_str(), "w");
    if (!out) throw std::runtime_error("cannot write " + path.string());
    PEM_write_X509(out, certificate);
    std::fclose(out);
  }

  std::filesystem::path folder_;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

}  // namespace rerank
