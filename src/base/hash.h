// 128-bit XXH3 of byte strings: for cache keys and fingerprints. Not cryptographic.
#pragma once

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
