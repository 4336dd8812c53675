// Patterns of tokenizer.json (Replace, Split): a literal string or a regular expression in Oniguruma's Ruby syntax, run
// by PCRE2 with Unicode properties and multi-line anchors, which is what that syntax means for the patterns tokenizers
// carry.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json/reader.h"
#include "rerank/status.h"

namespace rerank::text {

// Immutable and thread-safe.
class Pattern {
 public:
  // {"String": "..."} or {"Regex": "..."}; InvalidArgument when the expression does not compile.
  static Result<Pattern> parse(const JsonField& json);

  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  // Calls visit(begin, end) for each match in `text` (valid UTF-8), left to right, without overlap. Empty matches
  // count, but not right after another match.
  void for_each_match(std::string_view text, const std::function<void(size_t, size_t)>& visit) const;

  // No match is shorter, in bytes. 0 where that is not known.
  size_t least_match() const;

 private:
  struct Compiled;

  Pattern();
  void for_each_literal(std::string_view text, const std::function<void(size_t, size_t)>& visit) const;

  std::string literal_;  // not empty: matched as it is
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace rerank::text
