#include "text/unicode/unicode.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

struct PropertyRun {
  uint32_t first;
  uint32_t properties;
};

struct ProxyRun {
  uint32_t first, last;  // code points
  uint32_t proxy;
};

#include "text/unicode/unicode_tables.inc"

using Mapping = absl::flat_hash_map<char32_t, std::u32string_view>;

// Hangul syllables compose and decompose by arithmetic; Unicode standard, section 3.12.
constexpr char32_t kHangulSyllable = 0xAC00, kHangulL = 0x1100, kHangulV = 0x1161, kHangulT = 0x11A7;
constexpr char32_t kHangulLCount = 19, kHangulVCount = 21, kHangulTCount = 28;
constexpr char32_t kHangulSyllables = kHangulLCount * kHangulVCount * kHangulTCount;

bool is_hangul_syllable(char32_t c) { return c - kHangulSyllable < kHangulSyllables; }

uint64_t pair_key(char32_t a, char32_t b) { return uint64_t(a) << 32 | b; }

// Everything derived from the generated tables, built once when the program starts and never freed.
struct Data {
  Mapping canonical, compatible, lower;
  absl::flat_hash_map<uint64_t, char32_t> compositions;
  std::vector<std::unique_ptr<uint32_t[]>> storage;
  std::vector<const uint32_t*> pages;

  Data();
  void add_bits(char32_t c, uint32_t bits) { const_cast<uint32_t*>(pages[c >> 8])[c & 0xFF] |= bits; }
};

template <size_t N>
void for_each_entry(const char32_t (&table)[N], auto&& visit) {
  for (size_t i = 0; i + 2 < N; i += 2 + table[i + 1])
    visit(table[i], std::u32string_view(table + i + 2, table[i + 1]));
}

Data::Data() {
  // Pages of one value are shared; those that differ inside get their own.
  absl::flat_hash_map<uint32_t, const uint32_t*> uniform;
  const size_t runs = std::size(kPropertyRuns);
  pages.resize(0x1100);
  size_t run = 0;
  for (uint32_t page = 0; page < 0x1100; ++page) {
    const uint32_t first = page << 8;
    while (run + 1 < runs && kPropertyRuns[run + 1].first <= first) ++run;
    // Hangul and the planes with letters get pages of their own, since derived bits are added to them.
    const bool same = (run + 1 == runs || kPropertyRuns[run + 1].first >= first + 256) && page >= 0x300;
    if (same && uniform.contains(kPropertyRuns[run].properties)) {
      pages[page] = uniform[kPropertyRuns[run].properties];
      continue;
    }
    storage.push_back(std::make_unique<uint32_t[]>(256));
    uint32_t* values = storage.back().get();
    for (uint32_t i = 0, r = run; i < 256; ++i) {
      while (r + 1 < runs && kPropertyRuns[r + 1].first <= first + i) ++r;
      values[i] = kPropertyRuns[r].properties;
    }
    pages[page] = values;
    if (same) uniform[kPropertyRuns[run].properties] = values;
  }

  for_each_entry(kCanonicalDecompositions, [&](char32_t c, std::u32string_view s) {
    canonical[c] = s;
    add_bits(c, kCharUnsafeNfd | kCharUnsafeNfc | kCharUnsafeNfkd | kCharUnsafeNfkc);
  });
  for_each_entry(kCompatibleDecompositions, [&](char32_t c, std::u32string_view s) {
    compatible[c] = s;
    add_bits(c, kCharUnsafeNfkd | kCharUnsafeNfkc);
  });
  for_each_entry(kLowercase, [&](char32_t c, std::u32string_view s) {
    lower[c] = s;
    add_bits(c, kCharHasLower);
  });
  for (char32_t c = kHangulSyllable; c < kHangulSyllable + kHangulSyllables; ++c) {
    add_bits(c, kCharUnsafeNfd | kCharUnsafeNfkd);
  }
  // A primary composite stays as it is in composed forms, unless its compatibility decomposition is another one.
  constexpr uint32_t kComposed = kCharUnsafeNfc | kCharUnsafeNfkc;
  auto clear_bits = [&](char32_t c, uint32_t bits) { const_cast<uint32_t*>(pages[c >> 8])[c & 0xFF] &= ~bits; };
  for_each_entry(kCompositions, [&](char32_t c, std::u32string_view s) {
    compositions[pair_key(s[0], s[1])] = c;
    clear_bits(c, compatible.contains(c) ? uint32_t{kCharUnsafeNfc} : kComposed);
  });
  for_each_entry(kCompositions, [&](char32_t, std::u32string_view s) { add_bits(s[1], kComposed); });
  for (char32_t v = 0; v < kHangulVCount; ++v) add_bits(kHangulV + v, kComposed);
  for (char32_t t = 1; t < kHangulTCount; ++t) add_bits(kHangulT + t, kComposed);
  for (const ProxyRun& run : kProxyRuns) {
    for (char32_t c = run.first; c <= run.last; ++c) add_bits(c, kCharHasProxy);
  }
  for (char32_t c = 0; c < 0x30000; ++c) {
    if (pages[c >> 8][c & 0xFF] >> 16 & 0xFF) add_bits(c, 0xFu << 24);
  }
}

const Data& data() {
  static const Data* const instance = new Data;
  return *instance;
}

uint32_t unsafe_bit(NormalForm form) {
  switch (form) {
    case NormalForm::kNfd:
      return kCharUnsafeNfd;
    case NormalForm::kNfc:
      return kCharUnsafeNfc;
    case NormalForm::kNfkd:
      return kCharUnsafeNfkd;
    default:
      return kCharUnsafeNfkc;
  }
}

void decompose(char32_t c, bool compatible, std::u32string& out) {
  if (is_hangul_syllable(c)) {
    const char32_t s = c - kHangulSyllable;
    out.push_back(kHangulL + s / (kHangulVCount * kHangulTCount));
    out.push_back(kHangulV + s % (kHangulVCount * kHangulTCount) / kHangulTCount);
    if (s % kHangulTCount != 0) out.push_back(kHangulT + s % kHangulTCount);
    return;
  }
  const uint32_t properties = char_properties(c);
  if (compatible && (properties & kCharUnsafeNfkd)) {
    if (auto it = data().compatible.find(c); it != data().compatible.end()) {
      out += it->second;
      return;
    }
  }
  if (properties & kCharUnsafeNfd) {
    if (auto it = data().canonical.find(c); it != data().canonical.end()) {
      out += it->second;
      return;
    }
  }
  out += c;
}

// The composition of a pair, or 0.
char32_t composed(char32_t a, char32_t b) {
  if (a - kHangulL < kHangulLCount && b - kHangulV < kHangulVCount) {
    return kHangulSyllable + ((a - kHangulL) * kHangulVCount + (b - kHangulV)) * kHangulTCount;
  }
  if (is_hangul_syllable(a) && (a - kHangulSyllable) % kHangulTCount == 0 && b - kHangulT - 1 < kHangulTCount - 1) {
    return a + (b - kHangulT);
  }
  const auto it = data().compositions.find(pair_key(a, b));
  return it == data().compositions.end() ? 0 : it->second;
}

// Stable sort of each run of non-starters by combining class.
void reorder(std::u32string& text) {
  for (size_t i = 0; i < text.size();) {
    if (combining_class(text[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < text.size() && combining_class(text[end]) != 0) ++end;
    std::stable_sort(text.begin() + i, text.begin() + end,
                     [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
}

// Canonical composition in place; Unicode standard, section 3.11, D117.
void compose(std::u32string& text) {
  size_t written = 0;
  size_t starter = std::u32string::npos;
  int last_class = -1;  // class of the last character kept after the starter; -1: none
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const int klass = combining_class(c);
    if (starter != std::u32string::npos && last_class < klass) {
      if (const char32_t joined = composed(text[starter], c)) {
        text[starter] = joined;
        continue;
      }
    }
    if (klass == 0) {
      starter = written;
      last_class = -1;
    } else {
      last_class = klass;
    }
    text[written++] = c;
  }
  text.resize(written);
}

}  // namespace

namespace unicode_internal {
const uint32_t* const* const kPages = data().pages.data();
}

bool is_bert_ideograph(char32_t c) {
  // The gap before U+2B920 (not U+2B820) is how `tokenizers` has it.
  return c >= 0x3400 &&
         ((c >= 0x4E00 && c <= 0x9FFF) || c <= 0x4DBF || (c >= 0xF900 && c <= 0xFAFF) ||
          (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) ||
          (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F));
}

void append_lowercase(char32_t c, std::string& out) {
  if (!has_property(c, kCharHasLower)) {
    append_utf8(out, c);
    return;
  }
  for (char32_t l : data().lower.find(c)->second) append_utf8(out, l);
}

char32_t regex_proxy(char32_t c) {
  const auto* run = std::upper_bound(std::begin(kProxyRuns), std::end(kProxyRuns), c,
                                     [](char32_t value, const ProxyRun& r) { return value < r.first; });
  return run == std::begin(kProxyRuns) || c > run[-1].last ? c : char32_t(run[-1].proxy);
}

void append_normalized(NormalForm form, std::string_view text, std::string& out) {
  const uint32_t unsafe = unsafe_bit(form);
  const bool compatible = form == NormalForm::kNfkd || form == NormalForm::kNfkc;
  const bool composing = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  std::u32string segment;
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    // [p, q) stays as it is, but its last character may join with what follows.
    const char* q = p;
    const char* last = p;
    while (q < end) {
      if (static_cast<unsigned char>(*q) < 0x80) {
        last = q++;
        continue;
      }
      const char* next = q;
      if (has_property(next_char(next), unsafe)) break;
      last = q;
      q = next;
    }
    if (q == end) {
      out.append(p, end - p);
      return;
    }
    const char* start = composing && q > p ? last : q;
    out.append(p, start - p);
    segment.clear();
    for (const char* s = start; s < q;) decompose(next_char(s), compatible, segment);
    while (q < end) {
      const char* next = q;
      const char32_t c = next_char(next);
      if (!has_property(c, unsafe)) break;
      decompose(c, compatible, segment);
      q = next;
    }
    reorder(segment);
    if (composing) compose(segment);
    for (char32_t c : segment) append_utf8(out, c);
    p = q;
  }
}

}  // namespace rerank::text
