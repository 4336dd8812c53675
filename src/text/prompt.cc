#include "text/prompt.h"

#include <array>
#include <filesystem>
#include <fstream>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/chat_template.h"

namespace rerank::text {
namespace {

struct Known {
  std::string_view name, text, instruction, instruction_form;
};

// Of Qwen3-Reranker's model card. Its makers tokenize prefix, body and suffix apart; in the body no token reaches over
// the blank after "<Document>:".
constexpr std::string_view kQwen3 =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    "provided. "
    "Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n{|}"
    "<Instruct>: {instruction}\n<Query>: {query}\n<Document>:{|} {document}{|}"
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

// Of the package mxbai-rerank, which tokenizes each part alone.
constexpr std::string_view kMxbai =
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{|}{instruction}query: {query}{|}\n{|}document:{|} {document}{|}\n{|}"
    "You are a search relevance expert who evaluates how well documents match search queries. For each query-document "
    "pair, carefully analyze the semantic relationship between them, then provide your binary relevance judgment "
    "(0 for not relevant, 1 for relevant).\nRelevance:{|}<|im_end|>\n<|im_start|>assistant\n";

// Of FlagEmbedding's decoder-only rerankers, which tokenize each part alone.
constexpr std::string_view kBgeGemma =
    "<bos>{|}A: {query}{|}\n{|}B: {document}{|}\n{|}"
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'.";
constexpr std::string_view kBgeMiniCpm =
    "<s>{|}A: {query}{|}\n{|}B: {document}{|}\n{|}"
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'.";

// One text to its makers; no token reaches over the colon's left side, for a letter stands there.
constexpr std::string_view kNemotron = "<|begin_of_text|>question:{query} \n \n passage{|}:{document}";

constexpr std::string_view kZerank2 =
    "<|im_start|>system\n{query}<|im_end|>\n<|im_start|>user\n{document}<|im_end|>\n<|im_start|>assistant\n";

constexpr std::array kKnown = {
    Known{"qwen3-reranker", kQwen3, "Given a web search query, retrieve relevant passages that answer the query",
          "{instruction}"},
    Known{"mxbai-rerank-v2", kMxbai, "", "instruction: {instruction}\n"},
    Known{"bge-reranker-gemma", kBgeGemma, "", ""},
    Known{"bge-reranker-minicpm", kBgeMiniCpm, "", ""},
    Known{"llama-nemotron-rerank", kNemotron, "", ""},
    Known{"zerank-2", kZerank2, "", ""},
};

Result<std::string> read_template(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(str_cat(path, ": ", error.message()));
  if (size > kMaxPromptBytes) return absl::OutOfRangeError(str_cat(path, ": larger than ", kMaxPromptBytes, " bytes"));
  std::string text(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), std::streamsize(size)))
    return absl::InvalidArgumentError(str_cat(path, ": cannot be read"));
  if (text.ends_with('\n') && !path.ends_with(".jinja")) text.pop_back();  // Jinja takes it away itself
  return text;
}

}  // namespace

std::vector<std::string> known_prompts() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

Result<PromptTemplate> known_prompt(std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.name == name)
      return PromptTemplate{std::string(known.name), std::string(known.text), std::string(known.instruction),
                            std::string(known.instruction_form)};
  }
  std::string names;
  for (const Known& known : kKnown) names += str_cat(names.empty() ? "" : ", ", known.name);
  return absl::NotFoundError(str_cat("no template is named `", name, "`; there are ", names));
}

Result<PromptTemplate> find_prompt(const std::string& name_or_file) {
  if (auto known = known_prompt(name_or_file); known.ok()) return known;
  std::error_code error;
  if (!std::filesystem::is_regular_file(name_or_file, error)) {
    const auto unknown = known_prompt(name_or_file);
    return absl::NotFoundError(str_cat(message_of(unknown.status()), ", and no file has that name"));
  }
  ASSIGN_OR_RETURN(std::string text, read_template(name_or_file));
  if (name_or_file.ends_with(".jinja")) return prompt_of_chat(name_or_file, text, {});
  const bool takes = text.find("{instruction}") != std::string::npos;
  return PromptTemplate{
      .name = name_or_file, .text = std::move(text), .instruction_form = takes ? "{instruction}" : ""};
}

}  // namespace rerank::text
