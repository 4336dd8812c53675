#include "base/hash.h"

#include <xxhash.h>

#include "absl/strings/str_format.h"

namespace rerank {

std::string Hash128::hex() const { return absl::StrFormat("%016x%016x", high, low); }

Hash128 hash128(std::string_view bytes, uint64_t seed) {
  const XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.low64, h.high64};
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
