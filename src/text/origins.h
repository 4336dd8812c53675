// Where the bytes of a text come from in the text that it was made of: how tokens find their place in what a client
// sent. Kept off the hot path: nothing here runs while texts are scored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rerank::text {

// Part of a text, in bytes: [begin, end).
struct TextSpan {
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const TextSpan&) const = default;
};

// For each byte of a text, the character of the source that it comes from.
using Origins = std::vector<TextSpan>;

// Each character of `text` from itself.
Origins own_origins(std::string_view text);

// Origins of `after`, which a transformation made of `before`: found by transforming single characters, and grapheme
// clusters where that is not enough. What comes together only in its whole is spread evenly.
Origins transformed_origins(std::string_view before, std::string_view after, const Origins& origins,
                            const std::function<void(std::string_view, std::string&)>& transform);

// Tells whether a token can stand at the start of `rest`, which is what is left of a piece: the bytes that it takes
// there, or 0. `first`: nothing of the piece has been taken.
using TokenStands = std::function<size_t(int32_t id, std::string_view rest, bool first)>;

// The bytes of one piece of text that each of its tokens stands for. A token that cannot stand where the one before has
// ended (an unknown word) takes what lies before the next that can; of several such in a row each takes a character.
std::vector<TextSpan> token_spans(std::string_view piece, std::span<const int32_t> ids, const TokenStands& stands);

}  // namespace rerank::text
