// Text -> the words that BM25 counts: Unicode words in lower case, in compatibility form (full-width letters are
// letters); Chinese, Japanese and Korean, which write no blanks between words, as overlapping pairs of characters;
// stems and stop words where a language is known.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::eval {

class WordSplitter {
 public:
  // `stemmer`: "none", or a Snowball algorithm's name ("english", "porter", "german", ...). With an English one,
  // English stop words are left out. InvalidArgument naming the choices.
  static Result<WordSplitter> make(const std::string& stemmer);
  WordSplitter(WordSplitter&&) noexcept;
  WordSplitter& operator=(WordSplitter&&) noexcept;
  ~WordSplitter();

  // Appends the words of a text. Not for several threads at once.
  void split(std::string_view text, std::vector<std::string>& words) const;

  const std::string& stemmer() const;

 private:
  struct State;
  explicit WordSplitter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Whether texts are English: one word in ten at least is an English stop word.
bool looks_english(const std::vector<std::string_view>& texts);

}  // namespace rerank::eval
