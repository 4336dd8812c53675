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

}  // namespace

Result<std::shared_ptr<const text::PairEncoder>> open_texts(const std::string& folder, const model::ModelConfig& config,
                                                            const TextOptions& options) {
  ASSIGN_OR_RETURN(std::shared_ptr<const text::Tokenizer> tokenizer, text::Tokenizer::from_folder(folder));
  const model::InputTemplate& input = config.architecture.input;
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

}  // namespace rerank::rank
