#include "text/stages/byte_level.h"

#include <array>

#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

struct ByteChars {
  std::array<char32_t, 256> char_of;
  std::array<int, 512> byte_of;

  constexpr ByteChars() : char_of(), byte_of() {
    for (int& b : byte_of) b = -1;
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      char_of[b] = printable ? char32_t(b) : next++;
      byte_of[char_of[b]] = b;
    }
  }
};

constexpr ByteChars kByteChars;

// Kinds of characters in the pattern.
constexpr uint32_t kKinds = kCharSpace | kCharLetter | kCharNumber;

// Kinds of ASCII characters, to spare the general look-up.
constexpr std::array<uint32_t, 128> kAsciiKinds = [] {
  std::array<uint32_t, 128> kinds{};
  for (int c = 0; c < 128; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) kinds[c] = kCharLetter;
    if (c >= '0' && c <= '9') kinds[c] = kCharNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) kinds[c] = kCharSpace;
  }
  return kinds;
}();

// Kind of the character at `p`, which is moved after it.
inline uint32_t next_kind(const char*& p) {
  const auto byte = static_cast<unsigned char>(*p);
  if (byte < 0x80) {
    ++p;
    return kAsciiKinds[byte];
  }
  return char_properties(next_char(p)) & kKinds;
}

const char* contraction_end(const char* p, const char* end) {
  if (end - p < 2) return nullptr;
  switch (p[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return p + 2;
    case 'r':
    case 'v':
      return end - p > 2 && p[2] == 'e' ? p + 3 : nullptr;
    case 'l':
      return end - p > 2 && p[2] == 'l' ? p + 3 : nullptr;
    default:
      return nullptr;
  }
}

}  // namespace

void append_byte_char(unsigned char byte, std::string& out) { append_utf8(out, kByteChars.char_of[byte]); }

int byte_of_char(char32_t c) { return c < kByteChars.byte_of.size() ? kByteChars.byte_of[c] : -1; }

const char* gpt2_word_end(const char* p, const char* end) {
  if (*p == '\'') {
    if (const char* q = contraction_end(p, end)) return q;
  }
  const char* q = *p == ' ' ? p + 1 : p;
  if (q < end) {
    const uint32_t kind = next_kind(q);
    if (kind != kCharSpace) {
      for (const char* next = q; q < end && next_kind(next) == kind;) q = next;
      return q;
    }
  }
  // White space: all of it at the end of the text, else all but its last character, which may belong to the next word.
  const char* last = p;
  q = p;
  while (q < end) {
    const char* next = q;
    if (next_kind(next) != kCharSpace) break;
    last = q;
    q = next;
  }
  return q == end || last == p ? q : last;
}

}  // namespace rerank::text
