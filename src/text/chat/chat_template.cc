#include "text/chat/chat_template.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/gguf/gguf.h"
#include "base/json/reader.h"
#include "base/mapped_file.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/jinja.h"
#include "text/files/gguf_tokenizer.h"

namespace rerank::text {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kMarks = {"{query}", "{document}", "{instruction}"};

struct Source {
  std::string from, text;
};

bool names_role(std::string_view source, std::string_view role) {
  return source.find(str_cat("\"", role, "\"")) != source.npos || source.find(str_cat("'", role, "'")) != source.npos;
}
bool is_for_pairs(std::string_view source) { return names_role(source, "query") && names_role(source, "document"); }

JinjaValue message(std::string role, std::string_view content) {
  return JinjaValue::object(
      {{"role", JinjaValue::of(std::move(role))}, {"content", JinjaValue::of(std::string(content))}});
}

// The prompt with marks for the texts.
Result<std::string> render(std::string_view source, const ChatSettings& settings, bool instruction) {
  std::vector<JinjaValue> messages;
  if (instruction) messages.push_back(message("system", kOpaqueTexts[2]));
  messages.push_back(message("query", kOpaqueTexts[0]));
  messages.push_back(message("document", kOpaqueTexts[1]));
  ASSIGN_OR_RETURN(std::string text,
                   render_jinja(source, {{"messages", JinjaValue::list(std::move(messages))},
                                         {"add_generation_prompt", JinjaValue::of(settings.add_generation_prompt)},
                                         {"bos_token", JinjaValue::of(settings.bos_token)},
                                         {"eos_token", JinjaValue::of(settings.eos_token)},
                                         {"tools", JinjaValue::none()},
                                         {"documents", JinjaValue::none()}}));
  for (size_t i = 0; i < kMarks.size(); ++i) {
    if (text.find(kMarks[i]) != text.npos)
      return absl::UnimplementedError(str_cat("it prints ", kMarks[i], ", which stands for a text here"));
    for (size_t at = text.find(kOpaqueTexts[i]); at != text.npos; at = text.find(kOpaqueTexts[i]))
      text.replace(at, kOpaqueTexts[i].size(), kMarks[i]);
  }
  return text;
}

Result<Source> chosen(const JsonFile& config) {
  const JsonField field = config.at("chat_template");
  if (field.is_null()) return Source{};
  if (!field.is_array()) {
    ASSIGN_OR_RETURN(const std::string_view text, field.as_string());
    return Source{field.where(), std::string(text)};
  }
  ASSIGN_OR_RETURN(const auto named, field.as_array());
  for (const std::string_view wanted : {"rerank", "default"}) {
    for (const JsonField& one : named) {
      ASSIGN_OR_RETURN(const std::string_view name, one.at("name").as_string_or(""));
      if (name != wanted) continue;
      ASSIGN_OR_RETURN(const std::string_view text, one.at("template").as_string());
      return Source{str_cat(field.where(), " named ", name), std::string(text)};
    }
  }
  return Source{};
}

// A token of tokenizer_config.json: its text, or an object with it.
std::string token_of(const JsonFile& config, const char* name) {
  const JsonField field = config.at(name);
  const JsonField text = field.is_object() ? field.at("content") : field;
  return text.is_string() ? std::string(*text.as_string()) : std::string();
}

Result<ChatSettings> read_settings(const std::string& home, const JsonFile* config) {
  ChatSettings settings;
  if (config != nullptr) {
    settings.bos_token = token_of(*config, "bos_token");
    settings.eos_token = token_of(*config, "eos_token");
  }
  const std::string path = str_cat(home, "/sentence_bert_config.json");
  std::error_code error;
  if (!fs::exists(path, error)) return settings;
  JsonFile transformer;
  RETURN_IF_ERROR(transformer.load(path));
  const JsonField given = transformer.at("processing_kwargs").at("chat_template");
  if (given.is_null()) return settings;
  ASSIGN_OR_RETURN(const auto fields, given.as_object());
  for (const auto& [key, value] : fields) {
    const JsonField field = given.at(key);
    if (key != "add_generation_prompt") return field.unsupported("only add_generation_prompt is; give --template");
    ASSIGN_OR_RETURN(settings.add_generation_prompt, field.as_bool());
  }
  return settings;
}

// llama.cpp's own form: {query} and {document} in a text.
Result<std::optional<PromptTemplate>> gguf_prompt(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
  auto file = GgufFile::parse(mapped.bytes());
  if (!file.ok()) return with_context(file.status(), path);
  constexpr std::string_view kKey = "tokenizer.chat_template.rerank";
  const auto text = file->text(kKey);
  if (!text) return std::optional<PromptTemplate>();
  const std::string name = str_cat(path, ": ", kKey);
  if (text->size() > kMaxPromptBytes)
    return absl::OutOfRangeError(str_cat(name, ": larger than ", kMaxPromptBytes, " bytes"));
  return std::optional(PromptTemplate{.name = name, .text = std::string(*text), .one_text = true});
}

}  // namespace

Result<PromptTemplate> prompt_of_chat(const std::string& name, std::string_view source, const ChatSettings& settings) {
  const auto in_context = [&](const Status& status) {
    return with_context(status, str_cat(name, ": this chat template"));
  };
  auto bare = render(source, settings, false);
  if (!bare.ok()) return in_context(bare.status());
  auto with = render(source, settings, true);
  // One that has no place for a third message says so in its own words, or prints others in their places.
  const bool takes = with.ok() && std::ranges::all_of(kMarks, [&](std::string_view mark) {
                       const size_t at = with->find(mark);
                       return at != with->npos && at == with->rfind(mark);
                     });
  if (!takes && !with.ok() && !absl::IsInvalidArgument(with.status())) return in_context(with.status());
  PromptTemplate prompt{.name = name, .text = takes ? *with : *bare, .one_text = true};
  if (takes) {
    prompt.instruction_form = kMarks[2];
    prompt.without_instruction = *bare;
  }
  return prompt;
}

Result<std::optional<PromptTemplate>> folder_prompt(const std::string& folder) {
  const std::string gguf = gguf_of(folder);
  if (folder.ends_with(".gguf")) return gguf_prompt(folder);
  std::error_code error;
  const std::string config_path = str_cat(folder, "/tokenizer_config.json"),
                    own = str_cat(folder, "/chat_template.jinja");
  JsonFile config;
  const bool has_config = fs::exists(config_path, error);
  if (has_config) RETURN_IF_ERROR(config.load(config_path));
  Source source;
  if (fs::exists(own, error)) {
    source.from = own;
    ASSIGN_OR_RETURN(source.text, read_file(own, kMaxTemplateBytes));
  } else if (has_config) {
    ASSIGN_OR_RETURN(source, chosen(config));
  }
  if (!is_for_pairs(source.text)) return gguf.empty() ? std::optional<PromptTemplate>() : gguf_prompt(gguf);
  ASSIGN_OR_RETURN(const ChatSettings settings, read_settings(folder, has_config ? &config : nullptr));
  ASSIGN_OR_RETURN(PromptTemplate prompt, prompt_of_chat(source.from, source.text, settings));
  return std::optional(std::move(prompt));
}

}  // namespace rerank::text
