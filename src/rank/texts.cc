#include "rank/texts.h"

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/chat_template.h"

namespace rerank::rank {
namespace {

// What the model's folder says itself; a template that cannot be taken is refused, since the family's would give other
// scores.
Result<std::optional<text::PromptTemplate>> folder_prompt(const std::string& folder) {
  auto prompt = text::folder_prompt(folder);
  if (prompt.ok()) return prompt;
  return Status(prompt.status().code(), str_cat(message_of(prompt.status()),
                                                ". Give --template NAME or FILE "
                                                "(docs/prompts.md) to score with another"));
}

std::string replaced(std::string text, std::string_view mark, std::string_view by) {
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + by.size()))
    text.replace(at, mark.size(), by);
  return text;
}

// Whether a folder says what is known of its family, at least where there is no instruction: then the known one is
// taken, which has a place for one where the folder's may not (GGUF's has none).
bool says_what_is_known(const text::PromptTemplate& own, const std::string& name) {
  const auto known = text::known_prompt(name);
  if (!known.ok()) return false;
  const std::string form =
      known->instruction.empty() ? "" : replaced(known->instruction_form, "{instruction}", known->instruction);
  return replaced(replaced(known->text, "{|}", ""), "{instruction}", form) ==
         (own.without_instruction.empty() ? own.text : own.without_instruction);
}

}  // namespace

Result<std::shared_ptr<const text::PairEncoder>> open_texts(const std::string& folder, const model::ModelConfig& config,
                                                            const TextOptions& options) {
  const model::InputTemplate& input = config.architecture.input;
  if (input.kind == model::InputTemplate::Kind::kList) {
    ASSIGN_OR_RETURN(const auto lists, open_lists(folder, config, options));
    return lists->texts();
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const text::Tokenizer> tokenizer, text::Tokenizer::from_folder(folder));
  if (input.kind == model::InputTemplate::Kind::kPair) {
    const char* unused = !options.prompt.empty()        ? "--template"
                         : !options.instruction.empty() ? "--instruction"
                                                        : nullptr;
    if (options.parse_special) unused = "--parse-special";
    if (unused != nullptr) {
      return absl::InvalidArgumentError(
          str_cat(unused, ": this model (", config.architecture_name, ") reads the two texts as they are"));
    }
    return text::PairEncoder::plain(std::move(tokenizer), config.serving.prompt);
  }
  std::optional<text::PromptTemplate> own;
  if (options.prompt.empty()) {
    ASSIGN_OR_RETURN(own, folder_prompt(folder));
    if (own && says_what_is_known(*own, input.prompt)) own.reset();
  }
  const std::string& name = !options.prompt.empty() ? options.prompt : input.prompt;
  if (!own && name.empty()) {
    return absl::InvalidArgumentError(
        str_cat(folder, ": ", config.architecture_name,
                " reads a prompt, and which one its makers trained it with is not known: without it scores mean "
                "nothing. Give --template NAME or FILE (docs/prompts.md)"));
  }
  auto prompt = own ? Result<text::PromptTemplate>(*std::move(own)) : text::find_prompt(name);
  if (!prompt.ok()) return with_context(prompt.status(), "--template");
  text::PromptSettings settings{.parse_special = options.parse_special};
  if (!options.instruction.empty()) {
    settings.instruction = options.instruction;
  } else if (!config.serving.prompt.empty() && !prompt->instruction_form.empty()) {
    settings.instruction = config.serving.prompt;
  }
  return text::PairEncoder::with_prompt(std::move(tokenizer), *prompt, settings);
}

Result<std::shared_ptr<const text::ListEncoder>> open_lists(const std::string& folder, const model::ModelConfig& config,
                                                            const TextOptions& options) {
  const model::InputTemplate& input = config.architecture.input;
  if (input.kind != model::InputTemplate::Kind::kList) return std::shared_ptr<const text::ListEncoder>();
  if (!options.prompt.empty()) {
    return absl::InvalidArgumentError(
        str_cat("--template: this model (", config.architecture_name,
                ") reads all documents of a request in one text, which its makers' template alone can make"));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const text::Tokenizer> tokenizer, text::Tokenizer::from_folder(folder));
  ASSIGN_OR_RETURN(const text::ListPrompt prompt, text::known_list_prompt(input.prompt));
  text::PromptSettings settings{.parse_special = options.parse_special};
  if (!options.instruction.empty()) settings.instruction = options.instruction;
  if (!settings.instruction && !config.serving.prompt.empty()) settings.instruction = config.serving.prompt;
  return text::ListEncoder::create(std::move(tokenizer), prompt, settings);
}

}  // namespace rerank::rank
