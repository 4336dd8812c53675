#include "text/stages/tokenizer_config.h"

#include <charconv>
#include <string_view>

#include "base/json/reader.h"
#include "base/status_macros.h"

namespace rerank::text {
namespace {

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

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(std::string json, std::string origin) {
  JsonFile file;
  RETURN_IF_ERROR(file.parse(std::move(json), std::move(origin)));
  TokenizerConfig config;
  config.model_max_length = length_of(file.at("model_max_length"));
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
  return config;
}

}  // namespace rerank::text
