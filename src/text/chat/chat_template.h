// The prompt that a model's folder says itself: a chat template with roles "query" and "document", and perhaps "system"
// for the instruction, as sentence-transformers (5.4 and later) and vLLM render it.
#pragma once

#include <optional>
#include <string>

#include "rerank/status.h"
#include "text/prompt.h"

namespace rerank::text {

// Of chat_template.jinja, of `chat_template` in tokenizer_config.json (the one named "rerank", else "default", where
// there are several) or of a GGUF file's tokenizer.chat_template.rerank; the prompt's name is file and field. Nothing
// where the folder has no template, or one that does not name both roles: of a chat. InvalidArgument or Unimplemented
// where it names them and cannot be taken as it is, saying why and what to do.
Result<std::optional<PromptTemplate>> folder_prompt(const std::string& folder);

// A Jinja template as a prompt. `names`: what it may read besides the messages.
struct ChatSettings {
  bool add_generation_prompt = false;
  std::string bos_token, eos_token;
};
Result<PromptTemplate> prompt_of_chat(const std::string& name, std::string_view source, const ChatSettings& settings);

}  // namespace rerank::text
