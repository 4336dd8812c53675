#include "eval/data/words.h"

#include <libstemmer.h>

#include <algorithm>
#include <unordered_set>

#include "base/strings.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::eval {
namespace {

const std::unordered_set<std::string_view>& english_stop_words() {
  // Those of Lucene's EnglishAnalyzer, so that figures compare with published ones.
  static const std::unordered_set<std::string_view> words = {
      "a",   "an",    "and",  "are",   "as",    "at",   "be",   "but", "by",  "for",  "if",
      "in",  "into",  "is",   "it",    "no",    "not",  "of",   "on",  "or",  "such", "that",
      "the", "their", "then", "there", "these", "they", "this", "to",  "was", "will", "with"};
  return words;
}

// Written without blanks between words: Han, kana, Hangul.
bool is_unspaced(char32_t c) {
  return text::is_bert_ideograph(c) || (c >= 0x3040 && c <= 0x30FF) || (c >= 0xAC00 && c <= 0xD7AF) ||
         (c >= 0x31F0 && c <= 0x31FF) || c == 0x3005;
}

}  // namespace

struct WordSplitter::State {
  ~State() {
    if (stemmer != nullptr) sb_stemmer_delete(stemmer);
  }
  sb_stemmer* stemmer = nullptr;
  std::string name;
  bool english = false;

  void add(std::string& word, std::vector<std::string>& words) const {
    if (word.empty()) return;
    if (english && english_stop_words().contains(word)) return word.clear();
    if (stemmer != nullptr) {
      const auto* in = reinterpret_cast<const sb_symbol*>(word.data());
      const sb_symbol* stem = sb_stemmer_stem(stemmer, in, static_cast<int>(word.size()));
      if (stem != nullptr)
        word.assign(reinterpret_cast<const char*>(stem), static_cast<size_t>(sb_stemmer_length(stemmer)));
    }
    words.push_back(std::move(word));
    word.clear();
  }
};

WordSplitter::WordSplitter(std::unique_ptr<State> state) : state_(std::move(state)) {}
WordSplitter::WordSplitter(WordSplitter&&) noexcept = default;
WordSplitter& WordSplitter::operator=(WordSplitter&&) noexcept = default;
WordSplitter::~WordSplitter() = default;
const std::string& WordSplitter::stemmer() const { return state_->name; }

Result<WordSplitter> WordSplitter::make(const std::string& stemmer) {
  auto state = std::make_unique<State>();
  state->name = stemmer;
  if (stemmer != "none") {
    state->stemmer = sb_stemmer_new(stemmer.c_str(), nullptr);
    if (state->stemmer == nullptr) {
      std::string known;
      for (const char** name = sb_stemmer_list(); *name != nullptr; ++name) known += str_cat(", ", std::string(*name));
      return absl::InvalidArgumentError(str_cat("--stemmer ", stemmer, ": not known; there are auto, none", known));
    }
  }
  state->english = stemmer == "english" || stemmer == "porter" || stemmer == "en";
  return WordSplitter(std::move(state));
}

void WordSplitter::split(std::string_view text, std::vector<std::string>& words) const {
  std::string clean;
  if (text::ascii_prefix(text) < text.size()) {
    clean = text::is_valid_utf8(text) ? std::string(text) : text::repaired_utf8(text);
    std::string folded;
    text::append_normalized(text::NormalForm::kNfkc, clean, folded);
    clean = std::move(folded);
    text = clean;
  }
  std::string word, last;  // `last`: the character before, where it and this one are unspaced
  bool paired = true;      // `last` is part of a pair already
  auto end_unspaced = [&] {
    if (!paired && !last.empty()) words.push_back(last);
    last.clear();
    paired = true;
  };
  for (const char *p = text.data(), *end = p + text.size(); p < end;) {
    const char* begin = p;
    const char32_t c = text::next_char(p);
    const std::string_view bytes(begin, static_cast<size_t>(p - begin));
    if (is_unspaced(c)) {
      state_->add(word, words);
      if (!last.empty()) words.push_back(last + std::string(bytes));
      paired = !last.empty();
      last = bytes;
      continue;
    }
    end_unspaced();
    if (text::has_property(c, text::kCharWord) && c != '_') {
      text::append_lowercase(c, word);
    } else {
      state_->add(word, words);
    }
  }
  end_unspaced();
  state_->add(word, words);
}

bool looks_english(const std::vector<std::string_view>& texts) {
  auto splitter = WordSplitter::make("none");
  std::vector<std::string> words;
  for (std::string_view text : texts) {
    splitter->split(text, words);
    if (words.size() > 50000) break;
  }
  const auto stops = std::count_if(words.begin(), words.end(),
                                   [](const std::string& word) { return english_stop_words().contains(word); });
  return !words.empty() && stops * 10 >= static_cast<long>(words.size());
}

}  // namespace rerank::eval
