#include "text/tokenizer.h"

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "rapidjson/document.h"
#include "text/added_tokens.h"
#include "text/json.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace rerank {
namespace {

constexpr size_t kMaxFileBytes = 256u << 20;
constexpr size_t kKeptScratchBytes = 1u << 20;  // a thread's buffers larger than this are freed after use
constexpr double kMaxSaneLength = 16'777'216;   // model_max_length above this means "not known"

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
  static Result<std::shared_ptr<JsonTokenizer>> parse(std::string_view json, std::string_view origin);

  void encode(std::string_view text, std::vector<int32_t>& ids) const override;

  std::string_view token_text(int32_t id) const override {
    return id >= 0 && size_t(id) < added_texts_.size() && !added_texts_[id].empty() ? std::string_view(added_texts_[id])
                                                                                    : model_->vocabulary().text(id);
  }
  bool is_special(int32_t id) const override { return id >= 0 && size_t(id) < special_.size() && special_[id]; }
  std::optional<int32_t> id_of(std::string_view token) const override {
    for (const AddedToken& added : added_.tokens()) {
      if (added.content == token) return added.id;
    }
    return model_->vocabulary().find(token);
  }
  size_t vocab_size() const override { return std::max(model_->vocabulary().id_limit(), added_texts_.size()); }
  const PairTemplate& pair_template() const override { return template_; }
  std::optional<size_t> model_max_length() const override { return model_max_length_; }

  void set_model_max_length(size_t tokens) { model_max_length_ = tokens; }

 private:
  Status parse_parts(const JsonField& root);
  void encode_stretch(std::string_view text, bool at_start, Scratch& scratch, std::vector<int32_t>& ids) const;
  void encode_normalized(std::string_view text, bool at_start, Pieces& pieces, std::vector<int32_t>& ids) const;

  std::unique_ptr<const Normalizer> normalizer_;       // may be null
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;  // may be null
  std::unique_ptr<const Model> model_;
  AddedTokens added_;
  PairTemplate template_;
  std::vector<std::string> added_texts_;  // by id; empty: not an added token
  std::vector<bool> special_;             // by id
  std::optional<size_t> model_max_length_;
};

void JsonTokenizer::encode(std::string_view text, std::vector<int32_t>& ids) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = repaired_utf8(text);
  thread_local Scratch scratch;
  if (added_.raw().empty()) {
    encode_stretch(text, true, scratch, ids);
  } else {
    added_.raw().split(text, [&](size_t begin, size_t end, int32_t id) {
      if (id >= 0) {
        ids.push_back(id);
      } else {
        encode_stretch(text.substr(begin, end - begin), begin == 0, scratch, ids);
      }
    });
  }
  scratch.trim();
}

void JsonTokenizer::encode_stretch(std::string_view text, bool at_start, Scratch& scratch,
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
  added_.normalized().split(value, [&](size_t begin, size_t end, int32_t id) {
    if (id >= 0) {
      ids.push_back(id);
    } else {
      encode_normalized(value.substr(begin, end - begin), normalized.at_start && begin == 0, scratch.pieces, ids);
    }
  });
}

void JsonTokenizer::encode_normalized(std::string_view text, bool at_start, Pieces& pieces,
                                      std::vector<int32_t>& ids) const {
  if (text.empty()) return;
  pieces.text = text;
  pieces.list.assign(1, Piece{0, text.size(), at_start});
  if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
  for (const Piece& piece : pieces.list) model_->append_ids(pieces.view(piece), ids);
}

Status JsonTokenizer::parse_parts(const JsonField& root) {
  if (!root.is_object()) return root.expected("an object");
  RERANK_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, parse_model(root.at("model")));
  RERANK_ASSIGN_OR_RETURN(normalizer_, parse_normalizer(root.at("normalizer")));
  RERANK_ASSIGN_OR_RETURN(std::unique_ptr<PreTokenizer> pre_tokenizer, parse_pre_tokenizer(root.at("pre_tokenizer")));
  RERANK_ASSIGN_OR_RETURN(template_, parse_post_processor(root.at("post_processor")));
  RERANK_ASSIGN_OR_RETURN(added_, AddedTokens::parse(root.at("added_tokens"), *model, normalizer_.get()));
  // Byte-level characters between the two are a detour that takes time.
  if (pre_tokenizer && pre_tokenizer->skip_byte_chars() && !model->take_plain_bytes()) {
    RERANK_ASSIGN_OR_RETURN(pre_tokenizer, parse_pre_tokenizer(root.at("pre_tokenizer")));
  }
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

Result<std::shared_ptr<JsonTokenizer>> JsonTokenizer::parse(std::string_view json, std::string_view origin) {
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
  RERANK_RETURN_IF_ERROR(tokenizer->parse_parts(JsonField(document, where)));
  return tokenizer;
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(str_cat(path.string(), ": ", error.message()));
  if (size > kMaxFileBytes) {
    return absl::OutOfRangeError(str_cat(path.string(), ": larger than ", kMaxFileBytes >> 20, " MB"));
  }
  std::string text(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), std::streamsize(size)))
    return absl::InvalidArgumentError(str_cat(path.string(), ": cannot be read"));
  return text;
}

// model_max_length of a tokenizer_config.json. Many carry 1000000000000000019884624838656 for "none", which is no
// integer to the parser that tokenizer.json is read with.
Result<std::optional<size_t>> read_model_max_length(const std::string& json, const std::string& where) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
  if (document.HasParseError() || !document.IsObject()) {
    return absl::InvalidArgumentError(str_cat(where, ": not valid JSON at byte ", document.GetErrorOffset()));
  }
  const auto member = document.FindMember("model_max_length");
  if (member == document.MemberEnd() || !member->value.IsNumber()) return std::nullopt;
  const double length = member->value.GetDouble();
  if (!(length >= 1 && length <= kMaxSaneLength)) return std::nullopt;
  return size_t(length);
}

Status missing_tokenizer(const std::filesystem::path& folder) {
  return absl::NotFoundError(str_cat((folder / "tokenizer.json").string(),
                                     ": not found. Models with only vocab.txt or a sentencepiece model need it made "
                                     "once: python -c \"from transformers "
                                     "import AutoTokenizer; AutoTokenizer.from_pretrained('",
                                     folder.string(), "').save_pretrained('", folder.string(), "')\""));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view json, std::string_view origin) {
  return JsonTokenizer::parse(json, origin);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_folder(const std::string& folder) {
  const std::filesystem::path path(folder);
  std::error_code error;
  if (!std::filesystem::exists(path / "tokenizer.json", error)) return missing_tokenizer(path);
  RERANK_ASSIGN_OR_RETURN(const std::string json, read_file(path / "tokenizer.json"));
  RERANK_ASSIGN_OR_RETURN(std::shared_ptr<JsonTokenizer> tokenizer,
                          JsonTokenizer::parse(json, (path / "tokenizer.json").string()));
  const std::filesystem::path config = path / "tokenizer_config.json";
  if (!std::filesystem::exists(config, error)) return tokenizer;
  RERANK_ASSIGN_OR_RETURN(const std::string config_json, read_file(config));
  RERANK_ASSIGN_OR_RETURN(const auto length, read_model_max_length(config_json, config.string()));
  if (length) tokenizer->set_model_max_length(*length);
  return tokenizer;
}

}  // namespace rerank
