#include "text/tokenizer.h"
#include "base/status_macros.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>

#include "base/json/reader.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "text/files/gguf_tokenizer.h"
#include "text/files/tokenizer_files.h"
#include "text/models/model.h"
#include "text/stages/added_tokens.h"
#include "text/stages/byte_level.h"
#include "text/stages/decoder.h"
#include "text/stages/normalizer.h"
#include "text/stages/post_processor.h"
#include "text/stages/pre_tokenizer.h"
#include "text/stages/tokenizer_config.h"
#include "text/unicode/utf8.h"

namespace rerank::text {
namespace {

constexpr size_t kMaxFileBytes = 256u << 20;
constexpr size_t kKeptScratchBytes = 1u << 20;  // a thread's buffers larger than this are freed after use

// How many times as long a file's normalizer and pre-tokenizer may make a text. XLM-RoBERTa's, whose longest
// replacement has 33 bytes, come to 132 at most.
constexpr double kMaxGrowth = 512;

// Buffers of one thread's encoding.
struct Scratch {
  NormalizedText text;
  Pieces pieces;

  void trim() {
    if (text.value.capacity() + text.scratch.capacity() + pieces.text.capacity() + pieces.text_scratch.capacity() >
        kKeptScratchBytes) {
      *this = Scratch();
    }
  }
};

class JsonTokenizer : public Tokenizer {
 public:
  static Result<std::shared_ptr<JsonTokenizer>> parse(std::string_view json, std::string_view origin,
                                                      const TokenizerConfig& config);

  void encode(std::string_view text, const TokenSet* as_text, std::vector<int32_t>& ids) const override;
  std::vector<TextSpan> encode_spans(std::string_view text, std::vector<int32_t>& ids) const override;
  Result<std::string> decode(std::span<const int32_t> ids, bool skip_special) const override;

  std::string_view token_text(int32_t id) const override {
    return id >= 0 && size_t(id) < added_texts_.size() && !added_texts_[id].empty() ? std::string_view(added_texts_[id])
                                                                                    : model_->vocabulary().text(id);
  }
  size_t normalized_bytes(std::string_view text) const override;
  std::vector<std::string> pieces(std::string_view text) const override;
  bool is_special(int32_t id) const override { return id >= 0 && size_t(id) < special_.size() && special_[id]; }
  std::optional<int32_t> id_of(std::string_view token) const override {
    for (const AddedToken& added : added_.tokens()) {
      if (added.content == token) return added.id;
    }
    return model_->vocabulary().find(token);
  }
  std::optional<int32_t> unknown_id() const override {
    return model_->unknown() < 0 ? std::nullopt : std::optional(model_->unknown());
  }
  size_t vocab_size() const override { return std::max(model_->vocabulary().id_limit(), added_texts_.size()); }
  std::vector<ControlToken> added_tokens() const override {
    std::vector<ControlToken> tokens;
    for (const AddedToken& token : added_.tokens()) tokens.push_back({token.content, token.id, token.special});
    return tokens;
  }
  const PairTemplate& pair_template() const override { return template_; }
  std::optional<size_t> model_max_length() const override { return model_max_length_; }

  void set_model_max_length(size_t tokens) { model_max_length_ = tokens; }

 private:
  Status parse_parts(const JsonField& root, const TokenizerConfig& config);
  void encode_stretch(std::string_view text, bool at_start, const TokenSet* as_text, Scratch& scratch,
                      std::vector<int32_t>& ids) const;
  void encode_normalized(std::string_view text, bool at_start, Pieces& pieces, std::vector<int32_t>& ids) const;

  // What encode_spans() is made of. `origins`: of the stretch's or the normalized text's bytes.
  struct Located {
    std::vector<int32_t>& ids;
    size_t first = 0;  // of the ids that belong to `spans`
    std::vector<TextSpan> spans;
  };
  void locate_stretch(std::string_view text, bool at_start, Origins origins, Located& out) const;
  void locate_normalized(std::string_view text, bool at_start, Origins origins, Located& out) const;
  void trim_blanks(Located& out) const;
  void fuse_bytes(std::span<const int32_t> ids, std::vector<TextSpan>& spans) const;
  size_t surface_length(int32_t id, std::string_view rest, bool first) const;
  void read_surfaces(const JsonField& root, bool plain_bytes);

  std::unique_ptr<const Normalizer> normalizer_;       // may be null
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;  // may be null
  std::unique_ptr<const TokenizerModel> model_;
  AddedTokens added_;
  PairTemplate template_;
  std::vector<std::string> added_texts_;  // by id; empty: not an added token
  std::vector<bool> special_;             // by id
  std::optional<size_t> model_max_length_;

  Result<std::unique_ptr<const Decoder>> decoder_ = nullptr;
  // How the texts of tokens differ from the pieces of text that they stand for.
  std::string continuing_prefix_, end_suffix_;
  bool plain_bytes_ = false;   // pieces are plain where tokens are written in byte-level characters
  bool trim_offsets_ = false;  // blanks around a token do not belong to it
  bool prefix_space_ = false;  // a blank was put before the text
  bool fused_bytes_ = false;   // bytes of unknown characters stand for all of them together
};

void JsonTokenizer::encode(std::string_view text, const TokenSet* as_text, std::vector<int32_t>& ids) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repaired_utf8(text);
  thread_local Scratch scratch;
  if (added_.raw().empty()) {
    encode_stretch(text, true, as_text, scratch, ids);
  } else {
    added_.raw().split(text, as_text, [&](size_t begin, size_t end, int32_t id) {
      if (id >= 0) {
        ids.push_back(id);
      } else {
        encode_stretch(text.substr(begin, end - begin), begin == 0, as_text, scratch, ids);
      }
    });
  }
  scratch.trim();
}

void JsonTokenizer::encode_stretch(std::string_view text, bool at_start, const TokenSet* as_text, Scratch& scratch,
                                   std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  NormalizedText& normalized = scratch.text;
  normalized.value = text;
  normalized.at_start = at_start;
  if (normalizer_) normalizer_->apply(normalized);
  if (added_.normalized().empty()) {
    encode_normalized(normalized.value, normalized.at_start, scratch.pieces, ids);
    return;
  }
  const std::string_view value = normalized.value;
  added_.normalized().split(value, as_text, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) {
      ids.push_back(id);
    } else {
      encode_normalized(value.substr(begin, end - begin), normalized.at_start && begin == 0, scratch.pieces, ids);
    }
  });
}

size_t JsonTokenizer::normalized_bytes(std::string_view text) const {
  constexpr size_t kBlock = 4096;
  if (!normalizer_) return text.size();
  NormalizedText block;
  size_t bytes = 0;
  while (!text.empty()) {
    size_t end = std::min(kBlock, text.size());
    while (end < text.size() && end > kBlock - 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    block.value = repaired_utf8(text.substr(0, end));
    normalizer_->apply(block);
    bytes += block.value.size();
    text.remove_prefix(end);
  }
  return bytes;
}

std::vector<std::string> JsonTokenizer::pieces(std::string_view text) const {
  std::vector<std::string> out;
  const auto normalized_part = [&](std::string_view value, bool at_start) {
    Pieces pieces;
    pieces.text = value;
    if (!value.empty()) pieces.list.assign(1, Piece{0, value.size(), at_start});
    if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
    for (const Piece& piece : pieces.list) out.emplace_back(pieces.view(piece));
  };
  const auto part = [&](std::string_view stretch, bool at_start) {
    NormalizedText normalized;
    normalized.value = stretch;
    normalized.at_start = at_start;
    if (normalizer_ && !stretch.empty()) normalizer_->apply(normalized);
    const std::string_view value = normalized.value;
    added_.normalized().split(value, nullptr, [&](size_t begin, size_t end, int32_t id) {
      if (id >= 0) return void(out.emplace_back(value.substr(begin, end - begin)));
      normalized_part(value.substr(begin, end - begin), normalized.at_start && begin == 0);
    });
  };
  added_.raw().split(text, nullptr, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) return void(out.emplace_back(text.substr(begin, end - begin)));
    part(text.substr(begin, end - begin), begin == 0);
  });
  return out;
}

void JsonTokenizer::encode_normalized(std::string_view text, bool at_start, Pieces& pieces,
                                      std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  pieces.text = text;
  pieces.list.assign(1, Piece{0, text.size(), at_start});
  if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
  for (const Piece& piece : pieces.list) model_->append_ids(pieces.view(piece), ids);
}

std::vector<TextSpan> JsonTokenizer::encode_spans(std::string_view text, std::vector<int32_t>& ids) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repaired_utf8(text);
  Located out{ids, ids.size(), {}};
  const Origins origins = own_origins(text);
  const auto part = [&](size_t begin, size_t end) {
    return Origins(origins.begin() + std::ptrdiff_t(begin), origins.begin() + std::ptrdiff_t(end));
  };
  if (added_.raw().empty()) {
    locate_stretch(text, true, origins, out);
  } else {
    added_.raw().split(text, nullptr, [&](size_t begin, size_t end, int32_t id) {
      if (id < 0) return locate_stretch(text.substr(begin, end - begin), begin == 0, part(begin, end), out);
      out.ids.push_back(id);
      out.spans.push_back({uint32_t(begin), uint32_t(end)});
    });
  }
  if (trim_offsets_) trim_blanks(out);
  return std::move(out.spans);
}

// As the ByteLevel post-processor counts: blanks that a token has in the vocabulary, but for the one put before the
// text.
void JsonTokenizer::trim_blanks(Located& out) const {
  constexpr std::string_view kBlank = "\xC4\xA0";  // the byte-level character of ' '
  for (size_t i = 0; i < out.spans.size(); ++i) {
    std::string_view token = token_text(out.ids[out.first + i]);
    TextSpan& span = out.spans[i];
    uint32_t leading = 0, trailing = 0;
    for (std::string_view rest = token; rest.starts_with(kBlank); rest.remove_prefix(2)) ++leading;
    for (std::string_view rest = token; rest.ends_with(kBlank); rest.remove_suffix(2)) ++trailing;
    if (leading > 0 && (i == 0 || span.begin == 0) && prefix_space_) --leading;
    span.begin = std::min(span.begin + leading, span.end);
    if (span.end >= trailing) span.end = std::max(span.end - trailing, span.begin);
  }
}

void JsonTokenizer::locate_stretch(std::string_view text, bool at_start, Origins origins, Located& out) const {
  if (text.empty()) return;
  NormalizedText normalized;
  normalized.value = text;
  normalized.at_start = at_start;
  if (normalizer_) normalizer_->apply_aligned(normalized, origins);
  const std::string_view value = normalized.value;
  if (added_.normalized().empty()) return locate_normalized(value, normalized.at_start, std::move(origins), out);
  added_.normalized().split(value, nullptr, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) {
      out.ids.push_back(id);
      out.spans.push_back({origins[begin].begin, origins[end - 1].end});
    } else {
      locate_normalized(value.substr(begin, end - begin), normalized.at_start && begin == 0,
                        Origins(origins.begin() + std::ptrdiff_t(begin), origins.begin() + std::ptrdiff_t(end)), out);
    }
  });
}

void JsonTokenizer::locate_normalized(std::string_view text, bool at_start, Origins origins, Located& out) const {
  if (text.empty()) return;
  Pieces pieces;
  pieces.text = text;
  pieces.list.assign(1, Piece{0, text.size(), at_start});
  if (pre_tokenizer_) pre_tokenizer_->apply_aligned(pieces, origins);
  for (const Piece& piece : pieces.list) {
    const size_t before = out.ids.size();
    model_->append_ids(pieces.view(piece), out.ids);
    const std::span<const int32_t> ids = std::span(out.ids).subspan(before);
    const auto stands = [this](int32_t id, std::string_view rest, bool first) {
      return surface_length(id, rest, first);
    };
    std::vector<TextSpan> spans = token_spans(pieces.view(piece), ids, stands);
    if (fused_bytes_) fuse_bytes(ids, spans);
    for (const TextSpan& span : spans) {
      const size_t last = std::max(span.end, span.begin + 1) - 1;
      const size_t limit = piece.end - 1;
      out.spans.push_back(
          {origins[std::min(piece.begin + span.begin, limit)].begin, origins[std::min(piece.begin + last, limit)].end});
    }
  }
}

// Each token of a run of byte tokens stands for the whole run.
void JsonTokenizer::fuse_bytes(std::span<const int32_t> ids, std::vector<TextSpan>& spans) const {
  for (size_t i = 0, end = 0; i < ids.size(); i = std::max(end, i + 1)) {
    for (end = i; end < ids.size() && byte_of_token(token_text(ids[end])); ++end) continue;
    for (size_t k = i; k < end; ++k) spans[k] = {spans[i].begin, spans[end - 1].end};
  }
}

size_t JsonTokenizer::surface_length(int32_t id, std::string_view rest, bool first) const {
  std::string_view token = token_text(id);
  if (!first && token.starts_with(continuing_prefix_)) token.remove_prefix(continuing_prefix_.size());
  if (token.ends_with(end_suffix_)) token.remove_suffix(end_suffix_.size());
  if (token.empty()) return 0;
  if (plain_bytes_) {
    size_t length = 0;
    for (const char *p = token.data(), *end = p + token.size(); p < end; ++length) {
      const int byte = byte_of_char(next_char(p));
      if (length >= rest.size() || byte != static_cast<unsigned char>(rest[length])) return 0;
    }
    return length;
  }
  if (rest.starts_with(token)) return token.size();
  return byte_of_token(token) == rest[0] ? 1 : 0;
}

Result<std::string> JsonTokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  RETURN_IF_ERROR(decoder_.status());
  std::vector<std::string> parts;
  for (const int32_t id : ids) {
    const std::string_view text = token_text(id);
    if (!text.empty() && !(skip_special && is_special(id))) parts.emplace_back(text);
  }
  const Decoder* decoder = decoder_->get();
  if (decoder) decoder->apply(parts);
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) text += (i > 0 && !decoder ? " " : "") + parts[i];
  return text;
}

// What a client may look at but scores do not depend on: nothing here can fail a model.
void JsonTokenizer::read_surfaces(const JsonField& root, bool plain_bytes) {
  plain_bytes_ = plain_bytes;
  decoder_ = parse_decoder(root.at("decoder"));
  const JsonField model = root.at("model");
  const auto word = [&](const char* name) { return std::string(model.at(name).as_string_or("").value_or("")); };
  continuing_prefix_ = word("continuing_subword_prefix");
  end_suffix_ = word("end_of_word_suffix");
  const std::function<bool(const JsonField&)> trims = [&](const JsonField& post) {
    const std::string_view type = post.at("type").as_string_or("").value_or("");
    if (type == "Sequence") {
      const auto steps = post.at("processors").as_array();
      return steps.ok() && std::any_of(steps->begin(), steps->end(), trims);
    }
    if (type != "ByteLevel" && type != "RobertaProcessing") return false;
    prefix_space_ = post.at("add_prefix_space").as_bool_or(true).value_or(true);
    return post.at("trim_offsets").as_bool_or(true).value_or(true);
  };
  fused_bytes_ = model.at("type").as_string_or("").value_or("") == "Unigram";
  trim_offsets_ = trims(root.at("post_processor"));
}

// The parts of tokenizer.json, as far as the class that tokenizer_config.json names does not make them of its own
// fields.
Result<std::unique_ptr<const Normalizer>> normalizer_of(const JsonField& json, const TokenizerConfig& config) {
  if (config.bert && json.at("type").as_string_or("").value_or("") == "BertNormalizer")
    return make_bert_normalizer(config.bert->lowercase, config.bert->strip_accents, config.bert->ideographs);
  return parse_normalizer(json);
}

Result<std::unique_ptr<PreTokenizer>> pre_tokenizer_of(const JsonField& json, const TokenizerConfig& config) {
  if (config.add_prefix_space && json.at("type").as_string_or("").value_or("") == "ByteLevel")
    return make_byte_level_pre_tokenizer(*config.add_prefix_space);
  return parse_pre_tokenizer(json);
}

Status JsonTokenizer::parse_parts(const JsonField& root, const TokenizerConfig& config) {
  if (!root.is_object()) return root.expected("an object");
  RETURN_IF_ERROR(check_unapplied(config, root));
  ASSIGN_OR_RETURN(std::unique_ptr<TokenizerModel> model, parse_model(root.at("model")));
  ASSIGN_OR_RETURN(normalizer_, normalizer_of(root.at("normalizer"), config));
  ASSIGN_OR_RETURN(std::unique_ptr<PreTokenizer> pre_tokenizer, pre_tokenizer_of(root.at("pre_tokenizer"), config));
  const double growth = (normalizer_ ? normalizer_->growth() : 1) * (pre_tokenizer ? pre_tokenizer->growth() : 1);
  if (growth > kMaxGrowth) {
    return root.error(str_cat("normalizer and pre_tokenizer may make a text ", growth, " times as long; ", kMaxGrowth,
                              " is the limit"));
  }
  ASSIGN_OR_RETURN(template_, parse_post_processor(root.at("post_processor")));
  ASSIGN_OR_RETURN(added_, AddedTokens::parse(root.at("added_tokens"), *model, normalizer_.get()));
  // Byte-level characters between the two are a detour that takes time.
  bool plain_bytes = pre_tokenizer && pre_tokenizer->skip_byte_chars();
  if (plain_bytes && !model->take_plain_bytes()) {
    ASSIGN_OR_RETURN(pre_tokenizer, pre_tokenizer_of(root.at("pre_tokenizer"), config));
    plain_bytes = false;
  }
  read_surfaces(root, plain_bytes);
  model_ = std::move(model);
  pre_tokenizer_ = std::move(pre_tokenizer);
  for (const AddedToken& token : added_.tokens()) {
    if (size_t(token.id) >= added_texts_.size()) {
      added_texts_.resize(token.id + 1);
      special_.resize(token.id + 1);
    }
    added_texts_[token.id] = token.content;
    special_[token.id] = token.special;
  }
  return ok_status();
}

Result<std::shared_ptr<JsonTokenizer>> JsonTokenizer::parse(std::string_view json, std::string_view origin,
                                                            const TokenizerConfig& config) {
  const std::string where = str_cat(origin, ": ");
  if (json.size() > kMaxFileBytes) {
    return absl::OutOfRangeError(str_cat(where, "larger than ", kMaxFileBytes >> 20, " MB"));
  }
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  if (const auto error = parser.parse(json.data(), json.size()).get(document)) {
    return absl::InvalidArgumentError(str_cat(where, "not valid JSON: ", simdjson::error_message(error)));
  }
  auto tokenizer = std::make_shared<JsonTokenizer>();
  RETURN_IF_ERROR(tokenizer->parse_parts(JsonField(document, where), config));
  return tokenizer;
}

// The folder's tokenizer.json, or what is built where it has none. `gguf`: a file that the folder has.
Result<BuiltTokenizer> tokenizer_of(const std::filesystem::path& folder, const std::string& gguf) {
  const std::filesystem::path path = folder / "tokenizer.json";
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    ASSIGN_OR_RETURN(std::string json, read_file(path.string(), kMaxFileBytes));
    return BuiltTokenizer{std::move(json), path.string()};
  }
  if (!vocabulary_file(folder.string()).empty()) return build_tokenizer(folder.string());
  if (!gguf.empty()) {
    ASSIGN_OR_RETURN(std::string json, gguf_tokenizer_json(gguf));
    return BuiltTokenizer{std::move(json), gguf};
  }
  return absl::NotFoundError(str_cat(path.string(),
                                     ": not found, and none of vocab.txt, sentencepiece.bpe.model, spm.model and "
                                     "spiece.model, which it can be built from, is there either"));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view json, std::string_view origin) {
  return JsonTokenizer::parse(json, origin, {});
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_folder(const std::string& folder) {
  const std::string gguf = gguf_of(folder);
  std::filesystem::path path(folder);
  if (gguf == folder) path = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  ASSIGN_OR_RETURN(const BuiltTokenizer read, tokenizer_of(path, gguf));
  TokenizerConfig config;
  if (const std::string beside = (path / "tokenizer_config.json").string(); std::filesystem::exists(beside, error)) {
    ASSIGN_OR_RETURN(std::string text, read_file(beside, kMaxFileBytes));
    ASSIGN_OR_RETURN(config, read_tokenizer_config(std::move(text), beside));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<JsonTokenizer> tokenizer, JsonTokenizer::parse(read.json, read.origin, config));
  if (config.model_max_length) tokenizer->set_model_max_length(*config.model_max_length);
  return tokenizer;
}

}  // namespace rerank::text
