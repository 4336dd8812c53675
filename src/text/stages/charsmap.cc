#include "text/stages/charsmap.h"

#include <algorithm>
#include <cstring>

#include "text/unicode/grapheme.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

// Fields of a darts-clone unit.
bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
uint32_t value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t label(uint32_t unit) { return unit & (0x80000000u | 0xFF); }
uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

constexpr size_t kWholeGraphemeBytes = 6;  // graphemes shorter than this are looked up whole

}  // namespace

Result<Charsmap> Charsmap::from_blob(std::string_view blob) {
  uint32_t trie_bytes = 0;
  if (blob.size() < sizeof(trie_bytes)) return absl::InvalidArgumentError("character map is cut short");
  std::memcpy(&trie_bytes, blob.data(), sizeof(trie_bytes));
  blob.remove_prefix(sizeof(trie_bytes));
  trie_bytes &= ~3u;
  if (trie_bytes < 4 || blob.size() < trie_bytes) return absl::InvalidArgumentError("character map is cut short");
  Charsmap map;
  map.trie_.resize(trie_bytes / 4);
  std::memcpy(map.trie_.data(), blob.data(), trie_bytes);
  map.replacements_ = blob.substr(trie_bytes);
  if (!is_valid_utf8(map.replacements_))
    return absl::InvalidArgumentError("character map has replacements that are not UTF-8");
  for (int c = 0; c < 128; ++c) {
    const char byte = char(c);
    map.ascii_kept_[c] = byte != '\r' && !map.find(std::string_view(&byte, 1));  // CR LF is one grapheme
  }
  return map;
}

std::optional<std::string_view> Charsmap::find(std::string_view chunk) const {
  uint32_t node = offset(trie_[0]);
  for (char c : chunk) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    if (node >= trie_.size()) return std::nullopt;
    const uint32_t unit = trie_[node];
    if (label(unit) != byte) return std::nullopt;
    node ^= offset(unit);
    if (has_leaf(unit)) {
      if (node >= trie_.size()) return std::nullopt;
      const size_t start = value(trie_[node]);
      if (start > replacements_.size()) return std::nullopt;
      const std::string_view rest = std::string_view(replacements_).substr(start);
      // A start inside a character would break the text.
      if (!rest.empty() && (static_cast<unsigned char>(rest[0]) & 0xC0) == 0x80) return std::nullopt;
      return rest.substr(0, rest.find('\0'));
    }
  }
  return std::nullopt;
}

size_t Charsmap::growth() const {
  size_t longest = 1;
  for (size_t at = 0; at < replacements_.size();) {
    const size_t end = std::min(replacements_.find('\0', at), replacements_.size());
    longest = std::max(longest, end - at);
    at = end + 1;
  }
  return longest;
}

void Charsmap::append_grapheme(const char* begin, const char* end, std::string& out) const {
  const std::string_view grapheme(begin, end - begin);
  if (grapheme.size() < kWholeGraphemeBytes) {
    if (const auto mapped = find(grapheme)) {
      out += *mapped;
      return;
    }
  }
  for (size_t i = 0; i < grapheme.size();) {
    const std::string_view part = grapheme.substr(i, utf8_length(static_cast<unsigned char>(grapheme[i])));
    out += find(part).value_or(part);
    i += part.size();
  }
}

void Charsmap::append_mapped(std::string_view text, std::string& out) const {
  const char* p = text.data();
  const char* const end = p + text.size();
  auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  while (p < end) {
    // An ASCII character before another one, other than CR LF, is a grapheme of its own.
    const char* q = p;
    while (q < end && is_ascii(*q) && ascii_kept_[static_cast<unsigned char>(*q)] && (q + 1 == end || is_ascii(q[1])))
      ++q;
    out.append(p, q - p);
    if (q == end) return;
    p = grapheme_end(q, end);
    append_grapheme(q, p, out);
  }
}

}  // namespace rerank::text
