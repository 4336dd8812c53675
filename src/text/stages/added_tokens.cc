#include "text/stages/added_tokens.h"
#include "base/status_macros.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "base/strings.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

// Start of the last character of `text`, which is not empty.
size_t last_char(std::string_view text) {
  size_t at = text.size() - 1;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && has_property(first_char(text.substr(last_char(text))), kCharWord);
}
bool starts_with_word(std::string_view text) { return !text.empty() && has_property(first_char(text), kCharWord); }

size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t at = last_char(text.substr(0, end));
    if (!has_property(first_char(text.substr(at)), kCharSpace)) break;
    end = at;
  }
  return end;
}

size_t leading_space(std::string_view text) {
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p < end) {
    const char* next = p;
    if (!has_property(next_char(next), kCharSpace)) break;
    p = next;
  }
  return p - text.data();
}

Result<AddedToken> parse_token(const JsonField& json) {
  AddedToken token;
  ASSIGN_OR_RETURN(token.content, json.at("content").as_string());
  ASSIGN_OR_RETURN(token.single_word, json.at("single_word").as_bool_or(false));
  ASSIGN_OR_RETURN(token.lstrip, json.at("lstrip").as_bool_or(false));
  ASSIGN_OR_RETURN(token.rstrip, json.at("rstrip").as_bool_or(false));
  ASSIGN_OR_RETURN(token.special, json.at("special").as_bool_or(false));
  ASSIGN_OR_RETURN(token.normalized, json.at("normalized").as_bool_or(!token.special));
  return token;
}

}  // namespace

void AddedTokenMatcher::add(std::string pattern, const AddedToken& token) {
  if (pattern.empty() || !seen_.insert(pattern).second) return;
  starts_[static_cast<unsigned char>(pattern[0])] = true;
  patterns_.push_back(std::move(pattern));
  tokens_.push_back(token);
}

void AddedTokenMatcher::build() {
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (size_t i = 0; i < patterns_.size(); ++i) keys.emplace_back(patterns_[i], int32_t(i));
  trie_ = Trie::build(std::move(keys));
}

int32_t AddedTokenMatcher::match(std::string_view text, size_t at, const TokenSet* as_text, size_t& end) const {
  int32_t best = -1;
  Trie::Node node = Trie::kRoot;
  while (at < text.size()) {
    node = trie_.child(node, static_cast<unsigned char>(text[at++]));
    if (node == Trie::kNone) break;
    const int32_t value = trie_.value(node);
    if (value != Trie::kNoValue && !(as_text != nullptr && contains(*as_text, tokens_[size_t(value)].id))) {
      best = value;
      end = at;
    }
  }
  return best;
}

void AddedTokenMatcher::split(std::string_view text, const TokenSet* as_text,
                              const std::function<void(size_t, size_t, int32_t)>& visit) const {
  size_t open = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const int32_t found = starts_[static_cast<unsigned char>(text[at])] ? match(text, at, as_text, end) : -1;
    if (found < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[found];
    size_t begin = at;
    at = end;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) continue;
    if (token.lstrip) begin = std::max(trailing_space(text.substr(0, begin)), open);
    if (token.rstrip) end += leading_space(text.substr(end));
    if (open < begin) visit(open, begin, -1);
    visit(begin, end, token.id);
    open = end;
  }
  if (open != text.size() || text.empty()) visit(open, text.size(), -1);
}

Result<AddedTokens> AddedTokens::parse(const JsonField& json, const TokenizerModel& model,
                                       const Normalizer* normalizer) {
  AddedTokens added;
  if (json.is_null()) return added;
  ASSIGN_OR_RETURN(const auto items, json.as_array());
  absl::flat_hash_map<std::string, size_t> known;
  auto next_id = int32_t(model.size());
  for (const JsonField& item : items) {
    ASSIGN_OR_RETURN(AddedToken token, parse_token(item));
    if (token.content.empty()) continue;
    if (const auto it = known.find(token.content); it != known.end()) {
      token.id = added.tokens_[it->second].id;
      added.tokens_[it->second] = std::move(token);
      continue;
    }
    const auto id = model.vocabulary().find(token.content);
    token.id = id ? *id : next_id++;
    if (token.id > kMaxTokenId) return item.error("too many tokens");
    known[token.content] = added.tokens_.size();
    added.tokens_.push_back(std::move(token));
  }
  for (const AddedToken& token : added.tokens_) {
    if (!token.normalized) {
      added.raw_.add(token.content, token);
      continue;
    }
    NormalizedText text;
    text.value = token.content;
    if (normalizer != nullptr) normalizer->apply(text);
    added.normalized_.add(std::move(text.value), token);
  }
  added.raw_.build();
  added.normalized_.build();
  return added;
}

}  // namespace rerank::text
