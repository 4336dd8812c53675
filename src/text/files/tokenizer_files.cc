#include "text/files/tokenizer_files.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "text/files/tokenizer_json.h"

namespace rerank::text {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = 16u << 20;

constexpr KindFacts kKinds[] = {
    {TokenizerKind::kBert, "vocab.txt", {nullptr, nullptr, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}},
    {TokenizerKind::kMpnet, "vocab.txt", {"<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"}},
    {TokenizerKind::kXlmRoberta, "sentencepiece.bpe.model", {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}},
    {TokenizerKind::kDeberta, "spm.model", {"[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}},
    {TokenizerKind::kAlbert, "spiece.model", {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"}},
};

struct NamedKind {
  std::string_view name;
  TokenizerKind kind;
};
constexpr NamedKind kClasses[] = {{"BertTokenizer", TokenizerKind::kBert},
                                  {"DistilBertTokenizer", TokenizerKind::kBert},
                                  {"ElectraTokenizer", TokenizerKind::kBert},
                                  {"MPNetTokenizer", TokenizerKind::kMpnet},
                                  {"XLMRobertaTokenizer", TokenizerKind::kXlmRoberta},
                                  {"DebertaV2Tokenizer", TokenizerKind::kDeberta},
                                  {"AlbertTokenizer", TokenizerKind::kAlbert}};
constexpr NamedKind kModelTypes[] = {{"bert", TokenizerKind::kBert},
                                     {"distilbert", TokenizerKind::kBert},
                                     {"electra", TokenizerKind::kBert},
                                     {"mpnet", TokenizerKind::kMpnet},
                                     {"xlm-roberta", TokenizerKind::kXlmRoberta},
                                     {"xlm-roberta-xl", TokenizerKind::kXlmRoberta},
                                     {"deberta-v2", TokenizerKind::kDeberta},
                                     {"albert", TokenizerKind::kAlbert}};

std::string_view without_fast(std::string_view name) {
  return name.ends_with("Fast") ? name.substr(0, name.size() - 4) : name;
}

Result<const KindFacts*> find_kind(const TokenizerFolder& folder, const std::string& file) {
  const JsonField name = folder.config.find("tokenizer_class");
  const bool by_class = name.is_string();
  const std::string said(
      without_fast((by_class ? name : folder.model.find("model_type")).as_string().value_or(std::string_view())));
  const std::span<const NamedKind> known = by_class ? std::span<const NamedKind>(kClasses) : kModelTypes;
  const auto found = std::ranges::find(known, said, &NamedKind::name);
  const std::string what = by_class ? str_cat("tokenizer_class ", said) : str_cat("model_type ", said);
  if (found != known.end()) {
    const auto facts = std::ranges::find(kKinds, found->kind, &KindFacts::kind);
    if (fs::path(file).filename() == facts->file) return &*facts;
  }
  return absl::UnimplementedError(str_cat(
      file, ": there is no tokenizer.json, and none is built from this file for ", what,
      ". Make it once: python -c \"from transformers import AutoTokenizer; AutoTokenizer.from_pretrained('",
      fs::path(file).parent_path().string(), "').save_pretrained('", fs::path(file).parent_path().string(), "')\""));
}

}  // namespace

Status TokenizerSettings::load(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error) ? json.load(path, kMaxConfigBytes) : json.parse("{}", path);
}

Result<bool> TokenizerSettings::boolean(const char* field, bool fallback) const {
  const auto value = find(field).as_bool_or(fallback);
  return value.ok() ? value : wrong(field, "true or false");
}

// "[SEP]", or {"content": "[SEP]", "lstrip": false, ...}.
Result<SpecialToken> read_token(const TokenizerSettings& from, const JsonField& value, const std::string& field,
                                bool special) {
  SpecialToken token;
  token.special = special;
  token.normalized = !special;
  const auto text = (value.is_string() ? value : value.at("content")).as_string();
  if (!text.ok()) return from.wrong(field, "a text, or an object with a text `content`");
  token.text = *text;
  if (value.is_string()) return token;
  token.special = value.at("special").as_bool().value_or(special);
  token.normalized = !token.special;
  for (const auto& [name, flag] :
       {std::pair{"lstrip", &token.lstrip}, std::pair{"rstrip", &token.rstrip},
        std::pair{"single_word", &token.single_word}, std::pair{"normalized", &token.normalized}}) {
    const JsonField said = value.at(name);
    if (said.missing()) continue;
    const auto read = said.as_bool();
    if (!read.ok()) return from.wrong(str_cat(field, ".", name), "true or false");
    *flag = *read;
  }
  return token;
}

std::string vocabulary_file(const std::string& folder) {
  std::error_code error;
  for (const KindFacts& kind : kKinds) {
    const fs::path path = fs::path(folder) / kind.file;
    if (fs::exists(path, error)) return path.string();
  }
  return "";
}

Result<BuiltTokenizer> build_tokenizer(const std::string& folder) {
  const std::string file = vocabulary_file(folder);
  if (file.empty()) return absl::NotFoundError(str_cat(folder, ": no vocabulary"));
  TokenizerFolder parts;
  for (const auto& [settings, name] :
       {std::pair{&parts.config, "tokenizer_config.json"}, std::pair{&parts.special_map, "special_tokens_map.json"},
        std::pair{&parts.added, "added_tokens.json"}, std::pair{&parts.model, "config.json"}})
    RETURN_IF_ERROR(settings->load((fs::path(folder) / name).string()));
  ASSIGN_OR_RETURN(parts.facts, find_kind(parts, file));
  ASSIGN_OR_RETURN(std::string json, write_tokenizer_json(parts, file));
  return BuiltTokenizer{std::move(json), file};
}

}  // namespace rerank::text
