#include "text/stages/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/json/reader.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::text {
// A field whose other value has transformers 5 make a part of tokenizer.json otherwise.
struct UnappliedField {
  const char *tokenizer, *name;
  bool usual;
  const char *part, *type;  // what of tokenizer.json does the same: a normalizer or pre-tokenizer of this type ...
  const char* flag;         // ... whose flag has the field's value; null: that it is there
};
namespace {

constexpr UnappliedField kUnapplied[] = {
    {"DebertaV2Tokenizer", "do_lower_case", false, "normalizer", "Lowercase", nullptr},
    {"DebertaV2Tokenizer", "split_by_punct", false, "pre_tokenizer", "Punctuation", nullptr},
    {"XLMRobertaTokenizer", "add_prefix_space", true, "pre_tokenizer", "Metaspace", "add_prefix_space"},
    {"Qwen2Tokenizer", "add_prefix_space", false, "pre_tokenizer", "ByteLevel", "add_prefix_space"},
};

constexpr double kMaxSaneLength = 16'777'216;  // model_max_length above this means "not known"

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  if (name.ends_with("Fast")) name.remove_suffix(4);
  for (const std::string_view known : names)
    if (name == known) return true;
  return false;
}

// A number, or a text that is one. Many carry 1000000000000000019884624838656 for "none".
std::optional<size_t> length_of(const JsonField& field) {
  double length = 0;
  if (const auto number = field.as_number(); number.ok()) {
    length = *number;
  } else if (const auto text = field.as_string(); text.ok()) {
    if (std::from_chars(text->data(), text->data() + text->size(), length).ptr != text->data() + text->size())
      return std::nullopt;
  }
  if (!(length >= 1 && length <= kMaxSaneLength)) return std::nullopt;
  return static_cast<size_t>(length);
}

bool does(const JsonField& part, const UnappliedField& field) {
  for (const char* list : {"normalizers", "pretokenizers"}) {
    const auto steps = part.at(list).as_array();
    if (steps.ok() && std::ranges::any_of(*steps, [&](const JsonField& step) { return does(step, field); }))
      return true;
  }
  if (part.at("type").as_string_or("").value_or("") != field.type) return false;
  if (field.flag == nullptr) return true;
  const std::string_view scheme = part.at("prepend_scheme").as_string_or("").value_or("");
  if (!scheme.empty()) return (scheme != "never") != field.usual;
  return part.at(field.flag).as_bool_or(true).value_or(true) != field.usual;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(std::string json, std::string origin) {
  JsonFile file;
  RETURN_IF_ERROR(file.parse(std::move(json), std::move(origin)));
  TokenizerConfig config;
  config.model_max_length = length_of(file.at("model_max_length"));
  if (!config.model_max_length) config.model_max_length = length_of(file.at("max_len"));  // before transformers 3
  const std::string_view name = file.at("tokenizer_class").as_string_or("").value_or("");
  if (is_one_of(name, {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MPNetTokenizer"})) {
    TokenizerConfig::Bert& bert = config.bert.emplace(TokenizerConfig::Bert());
    ASSIGN_OR_RETURN(bert.lowercase, file.get_bool("do_lower_case", true));
    ASSIGN_OR_RETURN(bert.ideographs, file.get_bool("tokenize_chinese_chars", true));
    if (!file.at("strip_accents").is_null()) {
      ASSIGN_OR_RETURN(bert.strip_accents, file.at("strip_accents").as_bool());
    }
  }
  if (is_one_of(name, {"RobertaTokenizer", "LongformerTokenizer"})) {
    ASSIGN_OR_RETURN(config.add_prefix_space, file.get_bool("add_prefix_space", false));
  }
  for (const UnappliedField& field : kUnapplied) {
    if (!is_one_of(name, {field.tokenizer})) continue;
    ASSIGN_OR_RETURN(const bool value, file.get_bool(field.name, field.usual));
    if (value != field.usual) config.unapplied.push_back(&field);
  }
  return config;
}

Status check_unapplied(const TokenizerConfig& config, const JsonField& root) {
  for (const UnappliedField* field : config.unapplied) {
    if (does(root.at(field->part), *field)) continue;
    return absl::UnimplementedError(str_cat("tokenizer_config.json: ", field->name, ": ",
                                            field->usual ? "false" : "true", " of ", field->tokenizer,
                                            " is not what tokenizer.json's ", field->part,
                                            " does, and is not applied: save the tokenizer with transformers 5, or "
                                            "take the field out if tokenizer.json is right"));
  }
  return ok_status();
}

}  // namespace rerank::text
