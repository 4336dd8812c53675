#include "text/unicode/utf8.h"

#include <cstring>

#include "simdjson.h"

namespace rerank::text {

size_t ascii_prefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

size_t count_chars(std::string_view text) {
  size_t n = 0;
  for (char c : text) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char lead = *p;
    if (lead < 0x80) {
      out += char(lead);
      ++p;
      continue;
    }
    // Well-formed sequences, Unicode table 3-7: the second byte's range depends on the lead.
    const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t good = 1;
    while (good < length && p + good < end) {
      const unsigned char c = p[good];
      if (good == 1 ? (c < low || c > high) : (c & 0xC0) != 0x80) break;
      ++good;
    }
    if (length != 0 && good == length) {
      out.append(reinterpret_cast<const char*>(p), length);
    } else {
      append_utf8(out, kReplacementChar);
    }
    p += good;
  }
  return out;
}

}  // namespace rerank::text
