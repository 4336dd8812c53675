#include "text/unicode/unicode.h"

#include "base/json/reader.h"
#include "base/log.h"
#include "gtest/gtest.h"
#include "text/unicode/oniguruma.h"
#include "text/unicode/regex.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

std::string normalized(NormalForm form, std::string_view text) {
  std::string out;
  append_normalized(form, text, out);
  return out;
}

TEST(Utf8, RepairsAsTheWhatwgDecoderDoes) {
  EXPECT_EQ(repaired_utf8("plain é 你 😀"), "plain é 你 😀");
  EXPECT_EQ(repaired_utf8("a\xff"
                          "b"),
            "a\uFFFDb");
  EXPECT_EQ(repaired_utf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // an encoded surrogate
  EXPECT_EQ(repaired_utf8("\xe4\xbd"), "\uFFFD");                  // cut short: one
  EXPECT_EQ(repaired_utf8("\xf0\x9f\x98x"), "\uFFFDx");
  EXPECT_EQ(repaired_utf8("\xc0\xaf"), "\uFFFD\uFFFD");  // overlong
  EXPECT_EQ(repaired_utf8("\xf4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_TRUE(is_valid_utf8("é"));
  EXPECT_FALSE(is_valid_utf8("\xed\xa0\x80"));
}

TEST(Utf8, CountsAndWrites) {
  EXPECT_EQ(count_chars("aé你😀"), 4u);
  EXPECT_EQ(ascii_prefix("abcdefghijé"), 10u);
  std::string out;
  for (char32_t c : {U'a', U'é', U'你', U'😀'}) append_utf8(out, c);
  EXPECT_EQ(out, "aé你😀");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normalized(NormalForm::kNfc, "e\u0301 A\u030a \u1100\u1161\u11a8"), "é Å 각");
  EXPECT_EQ(normalized(NormalForm::kNfd, "é 각"), "e\u0301 \u1100\u1161\u11a8");
  EXPECT_EQ(normalized(NormalForm::kNfkc, "ﬁ ½ Ａ"), "fi 1\u20442 A");
  EXPECT_EQ(normalized(NormalForm::kNfkd, "\u1e9b\u0323"), "s\u0323\u0307");
  EXPECT_EQ(normalized(NormalForm::kNfd, "a\u0301\u0327"), "a\u0327\u0301");  // sorted by class
  EXPECT_EQ(normalized(NormalForm::kNfc, "a\u0327\u0301"), "á\u0327");        // composed past a mark of another class
  EXPECT_EQ(normalized(NormalForm::kNfc, "\u0958"), "\u0915\u093c");          // excluded from composition
  EXPECT_EQ(normalized(NormalForm::kNfc, ""), "");
}

TEST(Unicode, LowerCase) {
  std::string out;
  for (char32_t c : {U'A', U'İ', U'Σ', U'ẞ', U'a', U'你'}) append_lowercase(c, out);
  EXPECT_EQ(out, "ai\u0307σßa你");
}

TEST(Oniguruma, WhatPcre2WritesOtherwise) {
  EXPECT_EQ(*pcre2_syntax(R"(\s+(?!\S)|[^\r\n\p{L}]?)"), R"(\s+(?!\S)|[^\r\n\p{L}]?)");
  EXPECT_EQ(*pcre2_syntax(R"(\h[\h_]\H)"), "[0-9A-Fa-f][0-9A-Fa-f_][^0-9A-Fa-f]");
  EXPECT_EQ(*pcre2_syntax(R"(\u00e9x{,3})"), R"(\x{00e9}x{0,3})");
  EXPECT_EQ(*pcre2_syntax("(?im:a.b)[(?m)]"), "(?is:a.b)[(?m)]");
  EXPECT_EQ(*pcre2_syntax("[]a][^]b][[:alpha:]]"), "[]a][^]b][[:alpha:]]");
  EXPECT_FALSE(pcre2_syntax("[a&&b]").ok());
  EXPECT_FALSE(pcre2_syntax("[a[bc]]").ok());
}

TEST(Oniguruma, ProxiesKeepTheLength) {
  std::string storage;
  const std::string plain = "abc é 你";
  EXPECT_EQ(pcre2_text(plain, storage).data(), plain.data());
  const std::string vowel_separator = "a\u180eb";  // white space to PCRE2 only
  const std::string_view replaced = pcre2_text(vowel_separator, storage);
  EXPECT_EQ(replaced.size(), vowel_separator.size());
  EXPECT_NE(replaced, vowel_separator);
}

TEST(Pattern, OneThatTakesTooManyStepsIsGivenUpAndTold) {
  JsonFile json;
  ASSERT_TRUE(json.parse(R"({"pattern": {"Regex": "(a+)+[bc]"}})", "tokenizer.json").ok());
  const auto pattern = Pattern::parse(json.at("pattern"));
  ASSERT_TRUE(pattern.ok()) << pattern.status();
  std::string told;
  set_log_sink([&](LogLevel, std::string_view line, std::span<const LogField>) { told += line; });
  size_t matches = 0;
  const auto count = [&](size_t, size_t) { ++matches; };
  pattern->for_each_match("aab aac", count);
  EXPECT_EQ(matches, 2u);
  EXPECT_EQ(told, "");
  pattern->for_each_match(std::string(60, 'a'), count);
  pattern->for_each_match(std::string(60, 'a'), count);
  set_log_sink({});
  EXPECT_EQ(matches, 2u);
  EXPECT_NE(told.find("gives up on a text of 60 bytes"), std::string::npos) << told;
  EXPECT_EQ(told.find("Logged once"), told.rfind("Logged once"));
}

}  // namespace
}  // namespace rerank::text
