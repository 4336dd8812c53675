#include "text/files/tokenizer_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/json/writer.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "text/files/sentencepiece_file.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

using Kind = TokenizerKind;

constexpr size_t kMaxVocabularyBytes = 64u << 20;

// The model's vocabulary, and the tokens that are found in a text before it is cut.
class Tokens {
 public:
  void know(std::string text, size_t id) { ids_.insert_or_assign(std::move(text), id); }
  void set_next(size_t id) { next_ = id; }

  // A token that the vocabulary does not have gets the next free number.
  Status add(const SpecialToken& token, std::optional<uint64_t> said, const TokenizerSettings& from) {
    if (token.text.empty() || added_.contains(token.text)) return ok_status();
    const auto [found, fresh] = ids_.emplace(token.text, next_);
    if (fresh) ++next_;
    if (said && *said != found->second) {
      return absl::UnimplementedError(str_cat(from.json.origin(), ": token ", token.text, " is number ", *said,
                                              " there, and would be number ", found->second,
                                              " of a tokenizer that is built; a tokenizer.json is needed"));
    }
    added_.emplace(token.text, found->second);
    order_.push_back({found->second, token});
    return ok_status();
  }
  std::optional<size_t> find(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  // By number, as tokenizer.json has them.
  std::vector<std::pair<size_t, SpecialToken>> take() {
    std::ranges::sort(order_, {}, [](const auto& entry) { return entry.first; });
    return std::move(order_);
  }

 private:
  std::unordered_map<std::string, size_t> ids_;
  std::map<std::string, size_t> added_;
  std::vector<std::pair<size_t, SpecialToken>> order_;
  size_t next_ = 0;
};

class Builder {
 public:
  explicit Builder(const TokenizerFolder& folder) : folder_(folder) {}

  Result<std::string> build(const std::string& file) {
    RETURN_IF_ERROR(read_roles());
    ASSIGN_OR_RETURN(const std::string bytes, read_file(file, kMaxVocabularyBytes));
    out_.begin_object();
    out_.key("model");
    RETURN_IF_ERROR(file.ends_with(".txt") ? wordpiece(bytes, file) : unigram(bytes, file));
    RETURN_IF_ERROR(add_tokens());
    out_.key("normalizer");
    RETURN_IF_ERROR(normalizer());
    out_.key("pre_tokenizer");
    RETURN_IF_ERROR(pre_tokenizer());
    RETURN_IF_ERROR(post_processor());
    out_.key("decoder");
    decoder();
    out_.key("added_tokens");
    added_tokens();
    out_.end_object();
    return out_.take();
  }

 private:
  bool is(Kind kind) const { return folder_.facts->kind == kind; }
  bool is_wordpiece() const { return is(Kind::kBert) || is(Kind::kMpnet); }

  void text(std::string_view value) { out_.value(value); }
  void field(const char* name, std::string_view value) {
    out_.key(name);
    text(value);
  }
  void flag(const char* name, bool value) {
    out_.key(name);
    out_.value(value);
  }
  void start(std::string_view type) {
    out_.begin_object();
    field("type", type);
  }
  void simple(std::string_view type) {
    start(type);
    out_.end_object();
  }
  void start_sequence(const char* list) {
    start("Sequence");
    out_.key(list);
    out_.begin_array();
  }
  void end_sequence() {
    out_.end_array();
    out_.end_object();
  }

  Status read_roles() {
    for (int role = 0; role < kTokenRoles; ++role) {
      const TokenizerSettings* from = nullptr;
      const JsonField said = folder_.find_special(kRoleFields[role], from);
      if (!said.is_null()) {
        ASSIGN_OR_RETURN(roles_[role], read_token(*from, said, kRoleFields[role]));
        roles_[role]->special = true;
      } else if (folder_.facts->tokens[role] != nullptr) {
        roles_[role] = SpecialToken{folder_.facts->tokens[role]};
        roles_[role]->lstrip = is(Kind::kMpnet) && role == kMask;
      }
      if (roles_[role] && !is_valid_utf8(roles_[role]->text)) return from->wrong(kRoleFields[role], "UTF-8");
    }
    return ok_status();
  }
  const std::string& role(TokenRole role) const { return roles_[role]->text; }

  Status wordpiece(std::string_view bytes, const std::string& file);
  Status unigram(std::string_view bytes, const std::string& file);
  Status add_tokens();
  Status add_decoder_tokens();
  Status add_extra_tokens();
  Status normalizer();
  Status pre_tokenizer();
  Status post_processor();
  void decoder();
  void added_tokens();
  void metaspace(std::string_view type, bool first_only);
  void replace(std::string_view kind, std::string_view pattern, std::string_view with);

  const TokenizerFolder& folder_;
  JsonWriter out_;
  std::array<std::optional<SpecialToken>, kTokenRoles> roles_;
  Tokens tokens_;
  std::vector<SpecialToken> piece_tokens_;  // that a sentencepiece file marks
  std::string charsmap_;
};

// Without the white space at its end.
std::string_view trimmed_end(std::string_view line) {
  while (!line.empty()) {
    size_t begin = line.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(line[begin]) & 0xC0) == 0x80) --begin;
    const char* p = line.data() + begin;
    if (!has_property(next_char(p), kCharSpace)) break;
    line = line.substr(0, begin);
  }
  return line;
}

Status Builder::wordpiece(std::string_view bytes, const std::string& file) {
  if (!is_valid_utf8(bytes)) return absl::InvalidArgumentError(str_cat(file, ": not UTF-8"));
  std::map<std::string_view, size_t> ids;  // of equal lines the last counts
  size_t count = 0;
  for (std::string_view rest = bytes; !rest.empty(); ++count) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    ids.insert_or_assign(trimmed_end(rest.substr(0, end)), count);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  start("WordPiece");
  field("unk_token", role(kUnk));
  field("continuing_subword_prefix", "##");
  out_.key("max_input_chars_per_word");
  out_.value(100);
  out_.key("vocab");
  out_.begin_object();
  for (const auto& [word, id] : ids) {
    text(word);
    out_.value(id);
    tokens_.know(std::string(word), id);
  }
  out_.end_object();
  out_.end_object();
  tokens_.set_next(ids.size());
  return ok_status();
}

Status Builder::unigram(std::string_view bytes, const std::string& file) {
  ASSIGN_OR_RETURN(SentencePieceFile model, read_sentencepiece(bytes, file));
  if (!model.unigram)
    return absl::UnimplementedError(str_cat(file, ": not a unigram model; a tokenizer.json is needed"));
  charsmap_ = std::move(model.charsmap);
  std::vector<std::pair<std::string, double>> pieces;
  for (const SentencePiece& piece : model.pieces) {
    if (piece.type == SentencePiece::kControl || piece.type == SentencePiece::kUserDefined)
      piece_tokens_.push_back({.text = piece.text, .special = piece.type == SentencePiece::kControl});
    pieces.emplace_back(piece.text, piece.score);
  }
  int64_t unknown = model.unknown_id;
  if (is(Kind::kAlbert)) unknown = 1;
  if (is(Kind::kXlmRoberta)) {  // whose first pieces fairseq has in another order, behind one of its own
    std::vector<std::pair<std::string, double>> moved = {
        {role(kBos), 0}, {role(kPad), 0}, {role(kEos), 0}, {role(kUnk), 0}};
    moved.insert(moved.end(), pieces.begin() + std::min<ptrdiff_t>(3, std::ssize(pieces)), pieces.end());
    moved.emplace_back(role(kMask), 0);
    pieces = std::move(moved);
    unknown = 3;
  } else if (is(Kind::kDeberta)) {
    const auto found = std::ranges::find(pieces, std::pair{role(kUnk), 0.0});
    if (found != pieces.end()) unknown = found - pieces.begin();
  }
  if (unknown < 0 || unknown >= std::ssize(pieces))
    return absl::InvalidArgumentError(str_cat(file, ": its unknown piece is number ", unknown, " of ", pieces.size()));
  start("Unigram");
  out_.key("unk_id");
  out_.value(unknown);
  flag("byte_fallback", false);
  out_.key("vocab");
  out_.begin_array();
  for (size_t id = 0; id < pieces.size(); ++id) {
    const auto& [piece, score] = pieces[id];
    if (!std::isfinite(score)) return absl::InvalidArgumentError(str_cat(file, ": piece ", id, " has no score"));
    out_.begin_array();
    text(piece);
    out_.value(score);
    out_.end_array();
    tokens_.know(piece, id);
  }
  out_.end_array();
  out_.end_object();
  tokens_.set_next(pieces.size());
  return ok_status();
}

// Tokens with their numbers: tokenizer_config.json's added_tokens_decoder, before that added_tokens.json.
Status Builder::add_decoder_tokens() {
  std::map<uint64_t, SpecialToken> by_id;
  const TokenizerSettings& from = folder_.is_older() ? folder_.added : folder_.config;
  const auto number = [&](std::string_view word, uint64_t& id) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    return error == std::errc() && end == word.data() + word.size() && id < kMaxPieces;
  };
  if (folder_.is_older()) {
    for (const auto& [text, value] : from.json.root()) {
      uint64_t id = 0;
      if (value.get(id)) return from.wrong(text, "a number");
      SpecialToken token{std::string(text)};
      token.special =
          std::ranges::any_of(roles_, [&text = token.text](const auto& role) { return role && role->text == text; });
      token.normalized = !token.special;
      by_id.emplace(id, token);
    }
  } else {
    const auto list = from.find("added_tokens_decoder").as_object();
    if (!list.ok()) return from.wrong("added_tokens_decoder", "an object");
    for (const auto& [key, value] : *list) {
      const std::string name = str_cat("added_tokens_decoder.", key);
      uint64_t id = 0;
      if (!number(key, id)) return from.wrong(name, "a number as its name");
      ASSIGN_OR_RETURN(SpecialToken token, read_token(from, JsonField(value, name), name, false));
      by_id.emplace(id, std::move(token));
    }
  }
  for (auto& [id, token] : by_id) {
    const bool named =
        std::ranges::any_of(roles_, [&text = token.text](const auto& role) { return role && role->text == text; });
    token.special = token.special || named;
    RETURN_IF_ERROR(tokens_.add(token, id, from));
  }
  return ok_status();
}

Status Builder::add_extra_tokens() {
  if (!is_wordpiece()) {  // transformers takes the file's instead
    for (const SpecialToken& token : piece_tokens_) RETURN_IF_ERROR(tokens_.add(token, {}, folder_.config));
    return ok_status();
  }
  for (const char* name : {"additional_special_tokens", "extra_special_tokens"}) {
    const TokenizerSettings* from = nullptr;
    const JsonField list = folder_.find_special(name, from);
    if (list.is_null()) continue;
    const auto values = list.as_array();
    if (!values.ok()) return from->wrong(name, "an array");
    for (const JsonField& value : *values) {
      ASSIGN_OR_RETURN(const SpecialToken token, read_token(*from, value, name));
      RETURN_IF_ERROR(tokens_.add(token, {}, *from));
    }
  }
  return ok_status();
}

Status Builder::add_tokens() {
  RETURN_IF_ERROR(add_decoder_tokens());
  for (const auto& role : roles_)
    if (role) RETURN_IF_ERROR(tokens_.add(*role, {}, folder_.config));
  return add_extra_tokens();
}

void Builder::replace(std::string_view kind, std::string_view pattern, std::string_view with) {
  start("Replace");
  out_.key("pattern");
  out_.begin_object();
  text(kind);
  text(pattern);
  out_.end_object();
  field("content", with);
  out_.end_object();
}

Status Builder::normalizer() {
  const TokenizerSettings& config = folder_.config;
  const auto precompiled = [&] {
    start("Precompiled");
    std::string encoded;
    absl::Base64Escape(charsmap_, &encoded);
    field("precompiled_charsmap", encoded);
    out_.end_object();
  };
  ASSIGN_OR_RETURN(const bool lower, config.boolean("do_lower_case", !is(Kind::kDeberta)));
  if (is_wordpiece()) {
    ASSIGN_OR_RETURN(const bool basic, config.boolean("do_basic_tokenize", true));
    if (!basic)
      return absl::UnimplementedError(str_cat(config.json.origin(), ": do_basic_tokenize: false is not computed"));
    ASSIGN_OR_RETURN(const bool chinese, config.boolean("tokenize_chinese_chars", true));
    start("BertNormalizer");
    flag("clean_text", true);
    flag("handle_chinese_chars", chinese);
    out_.key("strip_accents");
    if (config.find("strip_accents").is_null()) {
      out_.null();
    } else {
      ASSIGN_OR_RETURN(const bool strip, config.boolean("strip_accents", false));
      out_.value(strip);
    }
    flag("lowercase", lower);
    out_.end_object();
    return ok_status();
  }
  if (is(Kind::kXlmRoberta)) {
    charsmap_.empty() ? static_cast<void>(out_.null()) : precompiled();
    return ok_status();
  }
  ASSIGN_OR_RETURN(const bool keep_accents, config.boolean("keep_accents", false));
  start_sequence("normalizers");
  if (is(Kind::kDeberta)) {
    if (lower) simple("Lowercase");
    replace("Regex", R"(\s{2,}|[\n\r\t])", " ");
    simple("NFC");
    start("Strip");
    flag("strip_left", false);
    flag("strip_right", true);
    out_.end_object();
  } else {
    replace("String", "``", "\"");
    replace("String", "''", "\"");
    if (!keep_accents) simple("NFKD"), simple("StripAccents");
    if (lower) simple("Lowercase");
    if (!charsmap_.empty()) precompiled();
  }
  end_sequence();
  return ok_status();
}

void Builder::metaspace(std::string_view type, bool first_only) {
  start(type);
  field("replacement", "\xE2\x96\x81");
  field("prepend_scheme", first_only ? (is(Kind::kDeberta) ? "first" : "never") : "always");
  flag("split", true);
  out_.end_object();
}

Status Builder::pre_tokenizer() {
  if (is_wordpiece()) {
    simple("BertPreTokenizer");
    return ok_status();
  }
  ASSIGN_OR_RETURN(const bool prefix, folder_.config.boolean("add_prefix_space", true));
  ASSIGN_OR_RETURN(const bool punctuation, folder_.config.boolean("split_by_punct", false));
  start_sequence("pretokenizers");
  if (!is(Kind::kDeberta)) {
    simple("WhitespaceSplit");
  } else if (punctuation) {
    start("Punctuation");
    field("behavior", "Isolated");
    out_.end_object();
  }
  metaspace("Metaspace", !prefix);
  end_sequence();
  return ok_status();
}

// What stands around one text and around two: marks by their role, texts, and their segment.
Status Builder::post_processor() {
  const auto id_of = [&](TokenRole which) { return tokens_.find(role(which)).value_or(0); };
  out_.key("post_processor");
  if (is(Kind::kMpnet)) {
    start("RobertaProcessing");
    for (const auto& [name, which] : {std::pair{"sep", kSep}, std::pair{"cls", kCls}}) {
      out_.key(name);
      out_.begin_array();
      text(role(which));
      out_.value(id_of(which));
      out_.end_array();
    }
    flag("trim_offsets", true);
    flag("add_prefix_space", false);
    out_.end_object();
    return ok_status();
  }
  const bool two_ends = is(Kind::kXlmRoberta);
  const TokenRole first = two_ends ? kBos : kCls, last = two_ends ? kEos : kSep;
  const auto part = [&](const char* what, std::string_view id, int segment) {
    out_.begin_object();
    out_.key(what);
    out_.begin_object();
    field("id", id);
    out_.key("type_id");
    out_.value(segment);
    out_.end_object();
    out_.end_object();
  };
  start("TemplateProcessing");
  for (const bool pair : {false, true}) {
    out_.key(pair ? "pair" : "single");
    out_.begin_array();
    part("SpecialToken", role(first), 0);
    part("Sequence", "A", 0);
    part("SpecialToken", role(last), 0);
    if (pair && two_ends) part("SpecialToken", role(last), 0);
    if (pair) part("Sequence", "B", two_ends ? 0 : 1);
    if (pair) part("SpecialToken", role(last), two_ends ? 0 : 1);
    out_.end_array();
  }
  out_.key("special_tokens");
  out_.begin_object();
  for (const TokenRole which : {first, last}) {
    if (which == last && role(first) == role(last)) continue;
    text(role(which));
    out_.begin_object();
    field("id", role(which));
    out_.key("ids");
    out_.begin_array();
    out_.value(id_of(which));
    out_.end_array();
    out_.key("tokens");
    out_.begin_array();
    text(role(which));
    out_.end_array();
    out_.end_object();
  }
  out_.end_object();
  out_.end_object();
  return ok_status();
}

void Builder::decoder() {
  if (!is_wordpiece()) return metaspace("Metaspace", false);
  start("WordPiece");
  field("prefix", "##");
  flag("cleanup", true);
  out_.end_object();
}

void Builder::added_tokens() {
  out_.begin_array();
  for (const auto& [id, token] : tokens_.take()) {
    out_.begin_object();
    out_.key("id");
    out_.value(id);
    field("content", token.text);
    flag("single_word", token.single_word);
    flag("lstrip", token.lstrip);
    flag("rstrip", token.rstrip);
    flag("normalized", token.normalized);
    flag("special", token.special);
    out_.end_object();
  }
  out_.end_array();
}

}  // namespace

Result<std::string> write_tokenizer_json(const TokenizerFolder& folder, const std::string& file) {
  return Builder(folder).build(file);
}

}  // namespace rerank::text
