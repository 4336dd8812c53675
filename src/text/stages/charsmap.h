// The `precompiled_charsmap` of sentencepiece models: a trie of byte strings and what replaces each.
//
// Format (sentencepiece, src/normalizer.cc): uint32 byte size of the trie, the trie as a darts-clone double array of
// little-endian uint32 units, then the replacements, each ended by a zero byte; the trie's values are offsets into
// them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::text {

class Charsmap {
 public:
  // `blob` is the decoded map. InvalidArgument when it is cut short or its replacements are not UTF-8.
  static Result<Charsmap> from_blob(std::string_view blob);

  // Appends `text` with each grapheme of fewer than 6 bytes replaced as a whole by what its shortest prefix in the map
  // stands for, and others character by character: what `tokenizers` does. Valid UTF-8 in, valid UTF-8 out.
  void append_mapped(std::string_view text, std::string& out) const;

  // Bytes that one byte may become at most.
  size_t growth() const;

 private:
  // What stands for the shortest prefix of `chunk` in the map, if any.
  std::optional<std::string_view> find(std::string_view chunk) const;
  void append_grapheme(const char* begin, const char* end, std::string& out) const;

  std::vector<uint32_t> trie_;
  std::string replacements_;
  std::array<bool, 128> ascii_kept_{};  // characters the map leaves as they are
};

}  // namespace rerank::text
