// The `added_tokens` of tokenizer.json: tokens found in the text before anything else is done with it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/json/reader.h"
#include "rerank/status.h"
#include "text/models/model.h"
#include "text/models/trie.h"
#include "text/stages/normalizer.h"

namespace rerank::text {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;  // only between characters that are not of words
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // and after it
  bool normalized = true;    // looked for in the normalized text, in normalized form
  bool special = false;
};

using TokenSet = std::vector<bool>;  // as in text/tokenizer.h
inline bool contains(const TokenSet& set, int32_t id) { return size_t(id) < set.size() && set[size_t(id)]; }

// A set of added tokens to look for; the longest at each place wins.
class AddedTokenMatcher {
 public:
  void add(std::string pattern, const AddedToken& token);
  void build();
  bool empty() const { return tokens_.empty(); }

  // Calls visit(begin, end, id) for the stretches of `text` in order: added tokens with their id, the text between them
  // with -1. Stretches may be empty only if `text` is. An added token that swallowed white space may reach over the
  // start of the next one. Tokens in `as_text` (may be null) are not looked for.
  void split(std::string_view text, const TokenSet* as_text,
             const std::function<void(size_t, size_t, int32_t)>& visit) const;

 private:
  // The index of the longest token that starts at `at`, or -1; its end to `end`.
  int32_t match(std::string_view text, size_t at, const TokenSet* as_text, size_t& end) const;

  std::vector<AddedToken> tokens_;
  std::vector<std::string> patterns_;
  absl::flat_hash_set<std::string> seen_;  // the same patterns; of two tokens with one pattern the first is found
  Trie trie_;
  bool starts_[256] = {};  // bytes that tokens start with
};

// All of tokenizer.json's added tokens. Immutable after `parse`, and thread-safe.
class AddedTokens {
 public:
  // Gives ids as `tokenizers` does: that of the same token in the model, else the next free one. `normalizer` may be
  // null.
  static Result<AddedTokens> parse(const JsonField& json, const TokenizerModel& model, const Normalizer* normalizer);

  const AddedTokenMatcher& raw() const { return raw_; }                // to look for in the text as given
  const AddedTokenMatcher& normalized() const { return normalized_; }  // to look for in the normalized text
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  std::vector<AddedToken> tokens_;
  AddedTokenMatcher raw_, normalized_;
};

}  // namespace rerank::text
