// Byte-level text as GPT-2 has it: each byte stands for one printable character, and words are split by one fixed
// pattern. Source: openai/gpt-2, encoder.py (bytes_to_unicode and the pattern).
#pragma once

#include <string>

namespace rerank::text {

// Appends the character (UTF-8) that stands for `byte`.
void append_byte_char(unsigned char byte, std::string& out);

// The byte that `c` stands for, or -1.
int byte_of_char(char32_t c);

// The end of the word that starts at `p` by
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// which leaves no character out. `p < end`; valid UTF-8.
const char* gpt2_word_end(const char* p, const char* end);

}  // namespace rerank::text
