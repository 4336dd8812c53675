// UTF-8 by hand: decoding of text known to be valid, appending, and repair of text that is not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rerank::text {

inline constexpr char32_t kReplacementChar = 0xFFFD;

// Bytes of the character that starts with `lead`; `lead` must start a character of valid UTF-8.
inline size_t utf8_length(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4; }

// The character at `p`, and moves `p` after it. The text must be valid UTF-8.
inline char32_t next_char(const char*& p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  if (u[0] < 0x80) {
    p += 1;
    return u[0];
  }
  if (u[0] < 0xE0) {
    p += 2;
    return char32_t(u[0] & 0x1F) << 6 | (u[1] & 0x3F);
  }
  if (u[0] < 0xF0) {
    p += 3;
    return char32_t(u[0] & 0x0F) << 12 | char32_t(u[1] & 0x3F) << 6 | (u[2] & 0x3F);
  }
  p += 4;
  return char32_t(u[0] & 0x07) << 18 | char32_t(u[1] & 0x3F) << 12 | char32_t(u[2] & 0x3F) << 6 | (u[3] & 0x3F);
}

// The character at the start of `text`, which must be valid UTF-8 and not empty.
inline char32_t first_char(std::string_view text) {
  const char* p = text.data();
  return next_char(p);
}

// Writes `c` to `p` and returns the end of it; at most 4 bytes.
inline char* write_utf8(char* p, char32_t c) {
  if (c < 0x80) {
    *p++ = char(c);
  } else if (c < 0x800) {
    *p++ = char(0xC0 | c >> 6);
    *p++ = char(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    *p++ = char(0xE0 | c >> 12);
    *p++ = char(0x80 | (c >> 6 & 0x3F));
    *p++ = char(0x80 | (c & 0x3F));
  } else {
    *p++ = char(0xF0 | c >> 18);
    *p++ = char(0x80 | (c >> 12 & 0x3F));
    *p++ = char(0x80 | (c >> 6 & 0x3F));
    *p++ = char(0x80 | (c & 0x3F));
  }
  return p;
}

inline void append_utf8(std::string& out, char32_t c) {
  char bytes[4];
  out.append(bytes, write_utf8(bytes, c) - bytes);
}

// Bytes at the start of `text` that are ASCII.
size_t ascii_prefix(std::string_view text);

// Number of characters of valid UTF-8.
size_t count_chars(std::string_view text);

// Whether `text` is valid UTF-8.
bool is_valid_utf8(std::string_view text);

// `text` with every maximal ill-formed sequence replaced by U+FFFD, as the WHATWG decoder, Python's errors="replace"
// and Rust's from_utf8_lossy do (an encoded surrogate is three of them).
std::string repaired_utf8(std::string_view text);

}  // namespace rerank::text
