// Tokens and their ids, both ways.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace rerank::text {

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION  // a table of 256 MB for an id of eight letters takes too long there
inline constexpr int32_t kMaxTokenId = (1 << 12) - 2;
#else
inline constexpr int32_t kMaxTokenId = (1 << 24) - 2;  // Trie values have 24 bits
#endif
inline constexpr size_t kMaxVocabularySize = 4u << 20;

// Filled by one thread, then read by any number.
class Vocabulary {
 public:
  void reserve(size_t tokens) { ids_.reserve(tokens); }

  // Gives `token` the id `id` (0 to kMaxTokenId); a token or id given again takes the newer partner.
  void set(std::string_view token, int32_t id);

  std::optional<int32_t> find(std::string_view token) const {
    const auto it = ids_.find(token);
    return it == ids_.end() ? std::nullopt : std::optional<int32_t>(it->second);
  }

  // The token of an id; empty for ids that have none.
  std::string_view text(int32_t id) const {
    return id >= 0 && size_t(id) < texts_.size() ? texts_[id] : std::string_view();
  }

  size_t size() const { return ids_.size(); }        // different tokens
  size_t id_limit() const { return texts_.size(); }  // one above the largest id
  const absl::flat_hash_map<std::string_view, int32_t>& ids() const { return ids_; }

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

 private:
  std::string_view keep(std::string_view token);

  std::deque<std::string> storage_;  // blocks that never move
  absl::flat_hash_map<std::string_view, int32_t> ids_;
  std::vector<std::string_view> texts_;
};

}  // namespace rerank::text
