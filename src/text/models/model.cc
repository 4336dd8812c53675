#include "text/models/model.h"
#include "base/status_macros.h"

#include "base/strings.h"

namespace rerank::text {
namespace {

// The words that are in the vocabulary, and one id for all others.
class WordLevel : public TokenizerModel {
 public:
  static Result<std::unique_ptr<TokenizerModel>> parse(const JsonField& json) {
    auto model = std::make_unique<WordLevel>();
    RETURN_IF_ERROR(read_vocabulary(json.at("vocab"), model->vocabulary_));
    ASSIGN_OR_RETURN(const std::string_view unknown, json.at("unk_token").as_string());
    const auto id = model->vocabulary_.find(unknown);
    if (!id) return json.at("unk_token").error(str_cat("\"", unknown, "\" is not in the vocabulary"));
    model->unknown_ = *id;
    return model;
  }

  void append_ids(std::string_view piece, std::vector<int32_t>& ids) const override {
    ids.push_back(vocabulary_.find(piece).value_or(unknown_));
  }

 private:
};

}  // namespace

Status read_vocabulary(const JsonField& json, Vocabulary& vocabulary) {
  ASSIGN_OR_RETURN(const simdjson::dom::object object, json.as_object());
  vocabulary.reserve(object.size());
  size_t count = 0;
  for (const auto [token, value] : object) {
    int64_t id = 0;
    if (value.get(id) != simdjson::SUCCESS || id < 0 || id > kMaxTokenId) {
      return json.error(str_cat("expected an id from 0 to ", kMaxTokenId, " for token \"", token, "\""));
    }
    if (++count > kMaxVocabularySize) return json.error(str_cat("more than ", kMaxVocabularySize, " tokens"));
    vocabulary.set(token, int32_t(id));
  }
  return ok_status();
}

Result<std::unique_ptr<TokenizerModel>> parse_model(const JsonField& json) {
  if (!json.is_object()) return json.expected("an object");
  std::string_view type;
  if (!json.at("type").missing()) {
    ASSIGN_OR_RETURN(type, json.at("type").as_string());
  } else if (json.at("vocab").is_array()) {  // files older than the field tell the kind by what they hold
    type = "Unigram";
  } else if (!json.at("merges").missing()) {
    type = "BPE";
  } else {
    type = json.at("continuing_subword_prefix").missing() ? "WordLevel" : "WordPiece";
  }
  if (type == "WordPiece") return parse_wordpiece(json);
  if (type == "Unigram") return parse_unigram(json);
  if (type == "BPE") return parse_bpe(json);
  if (type == "WordLevel") return WordLevel::parse(json);
  return json.at("type").unsupported(str_cat("model \"", type, "\" is not supported"));
}

}  // namespace rerank::text
