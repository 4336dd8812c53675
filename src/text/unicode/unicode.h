// Character data and normal forms, exactly as Hugging Face `tokenizers` sees them: it mixes Unicode versions, so no
// library agrees with it everywhere. The data are observed from the Python package
// (tools/goldens/tokenizers/make_unicode_table.py). All functions are pure and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rerank::text {

// Properties of a code point, one bit each.
enum CharProperty : uint32_t {
  kCharSpace = 1u << 0,         // White_Space
  kCharNumeric = 1u << 1,       // N*, as char::is_numeric
  kCharPunctuation = 1u << 2,   // P* or ASCII punctuation
  kCharWord = 1u << 3,          // \w of a Unicode regular expression
  kCharBertRemoved = 1u << 4,   // removed by BERT's clean_text
  kCharBertMark = 1u << 5,      // Mn: removed by BERT's strip_accents
  kCharMark = 1u << 6,          // M*: removed by StripAccents
  kCharLetter = 1u << 7,        // \p{L} of Oniguruma
  kCharNumber = 1u << 8,        // \p{N} of Oniguruma
  kCharExtend = 1u << 9,        // Grapheme_Extend or zero width joiner
  kCharSpacingMark = 1u << 10,  // Grapheme_Cluster_Break=SpacingMark
  kCharPrepend = 1u << 11,      // Grapheme_Cluster_Break=Prepend
  kCharControl = 1u << 12,      // Grapheme_Cluster_Break=Control, CR or LF
  kCharPictograph = 1u << 13,   // Extended_Pictographic
  kCharConsonant = 1u << 14,    // Indic_Conjunct_Break=Consonant
  kCharLinker = 1u << 15,       // Indic_Conjunct_Break=Linker
  // Bits 16 to 23 hold the canonical combining class. The rest is derived when the program starts: characters that a
  // normal form may change, reorder or join with the character before; and those that have a lower case.
  kCharUnsafeNfd = 1u << 24,
  kCharUnsafeNfc = 1u << 25,
  kCharUnsafeNfkd = 1u << 26,
  kCharUnsafeNfkc = 1u << 27,
  kCharHasLower = 1u << 28,
  kCharHasProxy = 1u << 29,  // see regex_proxy
};

namespace unicode_internal {
extern const uint32_t* const* const kPages;  // 0x1100 pages of 256 properties
}

inline uint32_t char_properties(char32_t c) { return unicode_internal::kPages[c >> 8][c & 0xFF]; }
inline bool has_property(char32_t c, uint32_t bits) { return (char_properties(c) & bits) != 0; }
inline uint8_t combining_class(char32_t c) { return uint8_t(char_properties(c) >> 16); }

// CJK ideographs as BERT's handle_chinese_chars counts them.
bool is_bert_ideograph(char32_t c);

// Lower case of `c`, appended: one to three characters, without regard to context.
void append_lowercase(char32_t c, std::string& out);

// For characters with kCharHasProxy, whose general category PCRE2 does not know as Oniguruma does: one that has it in
// both, of as many bytes of UTF-8.
char32_t regex_proxy(char32_t c);

enum class NormalForm { kNfd, kNfc, kNfkd, kNfkc };

// `text` (valid UTF-8) in a normal form, appended to `out`.
void append_normalized(NormalForm form, std::string_view text, std::string& out);

}  // namespace rerank::text
