#include "base/hash.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "absl/base/internal/raw_logging.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"

namespace rerank {

std::string Hash128::hex() const { return absl::StrFormat("%016x%016x", high, low); }

Hash128 hash128(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.low64, h.high64};
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

HashKey HashKey::random() {
  HashKey key;
  ABSL_RAW_CHECK(RAND_bytes(key.bytes.data(), static_cast<int>(key.bytes.size())) == 1, "no random bytes");
  return key;
}

HashKey HashKey::made_of(std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  HashKey key;
  std::copy_n(digest.begin(), key.bytes.size(), key.bytes.begin());
  return key;
}

const HashKey& HashKey::of_process() {
  static const HashKey key = random();
  return key;
}

Hash128 keyed_hash(const HashKey& key, std::string_view bytes) {
  thread_local const std::unique_ptr<EVP_MAC_CTX, void (*)(EVP_MAC_CTX*)> context = [] {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "SIPHASH", nullptr);
    std::unique_ptr<EVP_MAC_CTX, void (*)(EVP_MAC_CTX*)> made(mac ? EVP_MAC_CTX_new(mac) : nullptr, EVP_MAC_CTX_free);
    EVP_MAC_free(mac);
    size_t size = sizeof(Hash128);
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                     OSSL_PARAM_construct_end()};
    ABSL_RAW_CHECK(made && EVP_MAC_CTX_set_params(made.get(), parameters) == 1, "OpenSSL has no SipHash");
    return made;
  }();
  Hash128 hash;
  size_t length = 0;
  unsigned char digest[sizeof(Hash128)];
  ABSL_RAW_CHECK(
      EVP_MAC_init(context.get(), key.bytes.data(), key.bytes.size(), nullptr) == 1 &&
          EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1 &&
          EVP_MAC_final(context.get(), digest, &length, sizeof(digest)) == 1 && length == sizeof(digest),
      "SipHash failed");
  std::memcpy(&hash, digest, sizeof(hash));
  return hash;
}

FieldHasher::FieldHasher() : state_(XXH3_createState()) { XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_)); }
FieldHasher::~FieldHasher() { XXH3_freeState(static_cast<XXH3_state_t*>(state_)); }

FieldHasher& FieldHasher::add(std::string_view field) {
  add(static_cast<uint64_t>(field.size()));
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), field.data(), field.size());
  return *this;
}

FieldHasher& FieldHasher::add(uint64_t field) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), &field, sizeof field);
  return *this;
}

Hash128 FieldHasher::finish() const {
  const XXH128_hash_t h = XXH3_128bits_digest(static_cast<XXH3_state_t*>(state_));
  return {h.low64, h.high64};
}

}  // namespace rerank
