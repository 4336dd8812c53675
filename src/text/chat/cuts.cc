#include "text/chat/cuts.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::text {
namespace {

constexpr std::string_view kQuery = "{query}", kDocument = "{document}", kInstruction = "{instruction}", kApart = "{|}";

// What texts begin and end with: one of each kind of character that pre-tokenizers tell apart, alone and in a row.
constexpr std::string_view kProbes[] = {
    "",     "a", "A",      "word",   "two words", "1",   "123",  "?",          ".",    "...", "!?", ")",  "(",
    "]",    "[", "\"",     "'",      "'s",        "n't", "-",    "_",          "/",    ":",   ";",  "<",  ">",
    "</",   "*", " ",      "  ",     " a ",       "\n",  "\n\n", "\t",         "\r\n", "é",   "ß",  "中", "北京。",
    "かな", "🐼", "\u0301", "\u200d", "\u00a0",    "а",   "3.14", "http://a.b", "\n a", "a\n"};

// Whether the two are read as they are in one text, whatever tokens there are.
bool same_apart(const Tokenizer& tokenizer, const std::string& left, const std::string& right) {
  std::vector<std::string> apart = tokenizer.pieces(left);
  std::ranges::move(tokenizer.pieces(right), std::back_inserter(apart));
  return apart == tokenizer.pieces(left + right);
}

std::string replaced(std::string_view text, std::string_view mark, std::string_view by) {
  const size_t at = text.find(mark);
  if (at == text.npos) return std::string(text);
  return str_cat(text.substr(0, at), by, text.substr(at + mark.size()));
}

// A fixed text of a segment between two texts of users: where in it {|} may stand; npos: nowhere.
size_t cut_of(const Tokenizer& tokenizer, std::string_view before, std::string_view between, std::string_view after) {
  const auto holds = [&](size_t place) {
    for (const std::string_view left : kProbes) {
      for (const std::string_view right : kProbes) {
        if (!same_apart(tokenizer, str_cat(before, left, between.substr(0, place)),
                        str_cat(between.substr(place), right, after)))
          return false;
      }
    }
    return true;
  };
  for (size_t place = between.size() + 1; place-- > 0;) {
    const bool inside = place < between.size() && (static_cast<unsigned char>(between[place]) & 0xC0) == 0x80;
    if (!inside && holds(place)) return place;
  }
  return std::string_view::npos;
}

Status no_cut(std::string_view where) {
  return absl::InvalidArgumentError(
      str_cat("tokens may reach over ", where,
              ", so that it cannot be divided exactly; write it as a --template FILE with {|} (docs/prompts.md)"));
}

// One segment, between added tokens.
Result<std::string> cut_segment(const Tokenizer& tokenizer, std::string_view segment) {
  const size_t query = segment.find(kQuery), document = segment.find(kDocument);
  if (document == segment.npos) return std::string(segment);
  const std::string before_query =
      replaced(segment.substr(0, std::min(query, segment.size())), kInstruction, "find it");
  std::string_view behind = segment.substr(document + kDocument.size());
  std::string out(segment);
  if (query != segment.npos && query > document) return no_cut("what stands between {document} and {query}");
  if (!behind.empty()) {
    for (const std::string_view probe : kProbes) {
      const std::string left = str_cat(segment.substr(query == segment.npos ? 0 : query + kQuery.size(),
                                                      document - (query == segment.npos ? 0 : query + kQuery.size())),
                                       "a", probe);
      if (!same_apart(tokenizer, left, std::string(behind))) return no_cut("the end of {document}");
    }
    out = str_cat(segment.substr(0, document + kDocument.size()), kApart, behind);
  }
  if (query == segment.npos) return out;
  const std::string_view between = segment.substr(query + kQuery.size(), document - query - kQuery.size());
  const size_t place = cut_of(tokenizer, before_query, between, "");
  if (place == std::string_view::npos) return no_cut("what stands between {query} and {document}");
  return out.insert(query + kQuery.size() + place, kApart);
}

}  // namespace

std::vector<std::string_view> divided(std::string_view part, const std::vector<ControlToken>& tokens) {
  std::vector<std::string_view> out;
  size_t open = 0;
  for (size_t at = 0; at < part.size();) {
    size_t longest = 0;
    for (const ControlToken& token : tokens)
      if (part.substr(at).starts_with(token.text)) longest = std::max(longest, token.text.size());
    if (longest == 0) {
      ++at;
      continue;
    }
    if (open < at) out.push_back(part.substr(open, at - open));
    out.push_back(part.substr(at, longest));
    open = at += longest;
  }
  if (open < part.size()) out.push_back(part.substr(open));
  return out;
}

Result<std::string> with_cuts(const Tokenizer& tokenizer, std::string_view prompt) {
  std::string out;
  for (const std::string_view segment : divided(prompt, tokenizer.added_tokens())) {
    ASSIGN_OR_RETURN(const std::string cut, cut_segment(tokenizer, segment));
    out += cut;
  }
  return out;
}

}  // namespace rerank::text
