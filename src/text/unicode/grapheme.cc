#include "text/unicode/grapheme.h"

#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr char32_t kZeroWidthJoiner = 0x200D, kZeroWidthNonJoiner = 0x200C;

enum class Hangul { kNone, kL, kV, kT, kLv, kLvt };

Hangul hangul_kind(char32_t c) {
  if (c < 0x1100) return Hangul::kNone;
  if (c <= 0x115F || (c >= 0xA960 && c <= 0xA97C)) return Hangul::kL;
  if (c <= 0x11A7 || (c >= 0xD7B0 && c <= 0xD7C6)) return Hangul::kV;
  if (c <= 0x11FF || (c >= 0xD7CB && c <= 0xD7FB)) return Hangul::kT;
  if (c >= 0xAC00 && c <= 0xD7A3) return (c - 0xAC00) % 28 == 0 ? Hangul::kLv : Hangul::kLvt;
  return Hangul::kNone;
}

bool hangul_joins(Hangul before, Hangul after) {
  switch (before) {
    case Hangul::kL:
      return after != Hangul::kNone && after != Hangul::kT;
    case Hangul::kV:
    case Hangul::kLv:
      return after == Hangul::kV || after == Hangul::kT;
    case Hangul::kT:
    case Hangul::kLvt:
      return after == Hangul::kT;
    default:
      return false;
  }
}

bool is_regional_indicator(char32_t c) { return c >= 0x1F1E6 && c <= 0x1F1FF; }

// What has been seen of a cluster, as far as the rules look back.
struct State {
  uint32_t properties = 0;
  Hangul hangul = Hangul::kNone;
  int pictograph = 0;  // GB11: 1 after a pictograph and extenders, 2 after the joiner that follows them
  int conjunct = 0;    // GB9c: 1 after a consonant and extenders, 2 once a linker was among them
  int regional = 0;    // GB12: regional indicators in a row

  void take(char32_t c, uint32_t p) {
    properties = p;
    hangul = hangul_kind(c);
    if (p & kCharPictograph) {
      pictograph = 1;
    } else if (c == kZeroWidthJoiner) {
      pictograph = pictograph == 1 ? 2 : 0;
    } else if (!(p & kCharExtend) || pictograph != 1) {
      pictograph = 0;
    }
    if (p & kCharConsonant) {
      conjunct = 1;
    } else if (p & kCharLinker) {
      conjunct = conjunct ? 2 : 0;
    } else if (!(p & kCharExtend) || c == kZeroWidthNonJoiner) {
      conjunct = 0;
    }
    regional = is_regional_indicator(c) ? regional + 1 : 0;
  }
};

}  // namespace

const char* grapheme_end(const char* p, const char* end) {
  char32_t c = next_char(p);
  uint32_t properties = char_properties(c);
  if (c == '\r' && p < end && *p == '\n') return p + 1;
  if (properties & kCharControl) return p;
  State state;
  state.take(c, properties);
  while (p < end) {
    const char* next = p;
    c = next_char(next);
    properties = char_properties(c);
    if (properties & kCharControl) break;
    const bool joined =
        (properties & (kCharExtend | kCharSpacingMark)) || (state.properties & kCharPrepend) ||
        hangul_joins(state.hangul, hangul_kind(c)) || (state.pictograph == 2 && (properties & kCharPictograph)) ||
        (state.conjunct == 2 && (properties & kCharConsonant)) || (state.regional % 2 == 1 && is_regional_indicator(c));
    if (!joined) break;
    state.take(c, properties);
    p = next;
  }
  return p;
}

}  // namespace rerank::text
