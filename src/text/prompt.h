// The text that a decoder reads of a pair: fixed parts, the query, the document, and where the model takes one an
// instruction.
//
// A template is written as text with these marks; everything else stands for itself:
//   {query} {document}   the two texts, once each
//   {instruction}        what the query is for; the document does not stand between it and the query
//   {|}                  the texts on its two sides are tokenized apart
// Added tokens of the tokenizer ("<|im_start|>") are found in the template, and end a segment too. A segment is
// tokenized as one text, so that a template gives the ids that its makers' code gives; where that tokenizes a whole
// prompt at once, {|} may stand wherever no token reaches over. The query and the document stand in different segments.
// Nothing but the document's own text follows {document} in its segment: it is what is cut when a pair is too long.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::text {

struct PromptTemplate {
  std::string name;  // in messages
  std::string text;
  std::string instruction = "";       // where a request has none
  std::string instruction_form = "";  // what {instruction} becomes, with the instruction for its own {instruction}; of
                                      // an empty instruction it becomes nothing
  // Where there is no instruction; it differs from `text` before the document's segment only. Empty: `text`.
  std::string without_instruction = "";
  // Its makers tokenize it as one text: {|} is found (text/chat/cuts.h), not written.
  bool one_text = false;
};

constexpr size_t kMaxPromptBytes = 1u << 20;  // of a template's file: a megabyte of it would be in every pair

// The templates of models, by name: qwen3-reranker, mxbai-rerank-v2, bge-reranker-gemma, bge-reranker-minicpm,
// llama-nemotron-rerank, zerank-2. NotFound names them all.
Result<PromptTemplate> known_prompt(std::string_view name);
std::vector<std::string> known_prompts();

// A known template's name, or a file that holds a template as above (one newline at its end is not part of it); a file
// *.jinja is a chat template (text/chat/chat_template.h).
Result<PromptTemplate> find_prompt(const std::string& name_or_file);

}  // namespace rerank::text
