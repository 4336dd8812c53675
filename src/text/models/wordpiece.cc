// WordPiece: a word becomes the longest token it starts with, then the longest continuation, and so on; a word that
// cannot be covered, or is too long, becomes the unknown token. Source: google-research/bert, tokenization.py.
#include "base/status_macros.h"
#include "base/strings.h"
#include "text/models/model.h"
#include "text/models/trie.h"
#include "text/models/word_cache.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

class WordPiece : public TokenizerModel {
 public:
  static Result<std::unique_ptr<TokenizerModel>> parse(const JsonField& json);

  void append_ids(std::string_view piece, std::vector<int32_t>& ids) const override {
    WordCache& cache = WordCache::for_this_thread(owner_);
    if (cache.find(piece, ids)) return;
    const size_t first = ids.size();
    if (!append_tokens(piece, ids)) {
      ids.resize(first);
      ids.push_back(unknown_);
    }
    cache.put(piece, ids.data() + first, ids.size() - first);
  }

 private:
  bool append_tokens(std::string_view word, std::vector<int32_t>& ids) const {
    if (word.size() > max_chars_ && count_chars(word) > max_chars_) return false;
    Trie::Node start = Trie::kRoot;
    for (size_t at = 0; at < word.size(); start = continuation_) {
      if (start == Trie::kNone) return false;
      Trie::Node node = start;
      int32_t best = Trie::kNoValue;
      size_t best_end = at;
      for (size_t i = at; i < word.size();) {
        node = trie_.child(node, static_cast<unsigned char>(word[i++]));
        if (node == Trie::kNone) break;
        if (const int32_t value = trie_.value(node); value != Trie::kNoValue) {
          best = value;
          best_end = i;
        }
      }
      if (best == Trie::kNoValue) return false;
      ids.push_back(best);
      at = best_end;
    }
    return true;
  }

  const uint64_t owner_ = WordCache::new_owner();
  Trie trie_;
  Trie::Node continuation_ = Trie::kNone;  // where words go on: after the prefix "##"
  size_t max_chars_ = 100;
};

Result<std::unique_ptr<TokenizerModel>> WordPiece::parse(const JsonField& json) {
  auto model = std::make_unique<WordPiece>();
  RETURN_IF_ERROR(read_vocabulary(json.at("vocab"), model->vocabulary_));
  ASSIGN_OR_RETURN(const std::string_view unknown, json.at("unk_token").as_string());
  const auto unknown_id = model->vocabulary_.find(unknown);
  if (!unknown_id) return json.at("unk_token").error(str_cat("\"", unknown, "\" is not in the vocabulary"));
  model->unknown_ = *unknown_id;
  ASSIGN_OR_RETURN(const int64_t max_chars, json.at("max_input_chars_per_word").as_int(0, INT32_MAX));
  model->max_chars_ = size_t(max_chars);
  ASSIGN_OR_RETURN(const std::string_view prefix, json.at("continuing_subword_prefix").as_string());

  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(model->vocabulary_.size());
  for (const auto& [token, id] : model->vocabulary_.ids()) {
    if (!token.empty()) keys.emplace_back(token, id);
  }
  model->trie_ = Trie::build(std::move(keys));
  model->continuation_ = model->trie_.find(prefix);
  return model;
}

}  // namespace

Result<std::unique_ptr<TokenizerModel>> parse_wordpiece(const JsonField& json) { return WordPiece::parse(json); }

}  // namespace rerank::text
