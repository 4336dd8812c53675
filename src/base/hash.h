// 128-bit hashes of byte strings: XXH3, not cryptographic, for fingerprints and for hashes of hashes; SipHash with a
// secret key for what others choose.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace rerank {

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
  explicit operator bool() const { return low != 0 || high != 0; }  // false: no hash
  std::string hex() const;                                          // 32 lower-case digits
};

// For hash tables: the bits are random already.
struct Hash128Hasher {
  size_t operator()(const Hash128& hash) const { return static_cast<size_t>(hash.low); }
};

Hash128 hash128(std::string_view bytes, uint64_t seed = 0);

// SHA-256, as 64 lower-case digits: for checksums that others have made.
std::string sha256_hex(std::string_view bytes);

// The key of keyed_hash().
struct HashKey {
  std::array<unsigned char, 16> bytes{};
  static HashKey random();                          // from the kernel
  static HashKey made_of(std::string_view secret);  // the same for the same secret
  static const HashKey& of_process();               // random, and the same for the whole process
};

// SipHash-2-4 with 128 bits: what texts are known by that others send. Who does not know the key cannot make two with
// one hash, which takes a minute for hash128().
Hash128 keyed_hash(const HashKey& key, std::string_view bytes);

// Hashes a sequence of fields; each field's length is mixed in, so that ("a","bc") and ("ab","c") differ.
class FieldHasher {
 public:
  FieldHasher();
  ~FieldHasher();
  FieldHasher(const FieldHasher&) = delete;
  FieldHasher& operator=(const FieldHasher&) = delete;
  FieldHasher& add(std::string_view field);
  FieldHasher& add(uint64_t field);
  Hash128 finish() const;

 private:
  void* state_;
};

}  // namespace rerank
