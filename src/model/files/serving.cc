#include "model/files/serving.h"

#include <algorithm>
#include <filesystem>

#include "base/json/reader.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model {
namespace {

constexpr size_t kMaxBytes = 1u << 20, kMaxPromptBytes = 16384;  // a prompt is a sentence or two

// Whether it is there.
Result<bool> load(const std::string& folder, const char* name, JsonFile& json) {
  const std::string path = str_cat(folder, "/", name);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return false;
  RETURN_IF_ERROR(json.load(path, kMaxBytes));
  return true;
}

// "torch.nn.modules.activation.Sigmoid" is "Sigmoid".
void take_activation(const JsonField& field, ServingDefaults& serving) {
  if (!field.is_string()) return;
  const std::string_view name = *field.as_string();
  serving.activation = std::string(name.substr(name.rfind('.') + 1));
  serving.activation_from = field.where();
}

Status take_prompt(const JsonFile& json, ServingDefaults& serving) {
  const JsonField named = json.at("default_prompt_name");
  if (named.is_null()) return ok_status();
  ASSIGN_OR_RETURN(const std::string_view name, named.as_string());
  const JsonField prompt = json.at("prompts").at(name);
  if (prompt.missing()) return named.error(str_cat("\"", name, "\" is none of `prompts`"));
  ASSIGN_OR_RETURN(const std::string_view text, prompt.as_string());
  if (text.size() > kMaxPromptBytes) return prompt.error(str_cat("longer than ", kMaxPromptBytes, " bytes"));
  serving.prompt = std::string(text);
  serving.prompt_from = prompt.where();
  return ok_status();
}

}  // namespace

Status read_sentence_transformers(const std::string& folder, ModelConfig& config) {
  ServingDefaults& serving = config.serving;
  JsonFile main, own, transformer;
  ASSIGN_OR_RETURN(const bool has_main, load(folder, "config.json", main));
  if (has_main) {
    take_activation(main.at("sbert_ce_default_activation_function"), serving);
    take_activation(main.at("sentence_transformers").at("activation_fn"), serving);
  }
  ASSIGN_OR_RETURN(const bool has_own, load(folder, "config_sentence_transformers.json", own));
  if (has_own) {
    take_activation(own.at("activation_fn"), serving);
    RETURN_IF_ERROR(take_prompt(own, serving));
  }
  ASSIGN_OR_RETURN(const bool has_length, load(folder, "sentence_bert_config.json", transformer));
  if (!has_length || serving.max_length != 0) return ok_status();
  const JsonField length = transformer.at("max_seq_length");
  if (length.is_null()) return ok_status();
  ASSIGN_OR_RETURN(const uint64_t tokens, length.as_size());
  if (tokens < 8) return length.error("less than 8 tokens");
  serving.max_length = std::min<size_t>(tokens, config.max_length());
  serving.max_length_from = length.where();
  return ok_status();
}

}  // namespace rerank::model
