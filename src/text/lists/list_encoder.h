// Query and documents -> the sequences of a model that reads documents together (listwise): a text around the query and
// many documents, with a token after each document and after the query, at which the model's vectors are read.
//
//   auto encoder = ListEncoder::create(tokenizer, *known_list_prompt("jina-reranker-v3"), {});
//   (*encoder)->texts().encode_document(document, ids);  // of each document, and the query: alone
//   auto blocks = (*encoder)->blocks({...});
//
// Documents are cut, and divided into blocks, as the model's makers do: a block ends with `documents` documents, or
// where less than a longest document is left of `max_length`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/pair_encoder.h"

namespace rerank::text {

// Texts with marks: {count} documents in all, {query}, {instruction}, {number} of a document from 0, {document}.
// Everything else stands for itself; added tokens of the tokenizer in it are those tokens.
struct ListPrompt {
  std::string name;
  std::string before;    // with {count}, {query}, {instruction}
  std::string document;  // with {number} and {document}, in this order; after it stands the document's token
  std::string between;   // of two documents
  std::string after;     // with {query}, after which stands the query's token
  std::string end;
  std::string instruction_form;  // what {instruction} becomes, where there is one
  std::string document_token, query_token;
  size_t query_tokens = 512, document_tokens = 2048;  // kept of each
  size_t documents = 125;                             // of one block
};

// By name: jina-reranker-v3. NotFound for another.
Result<ListPrompt> known_list_prompt(std::string_view name);

// A sequence, and which of the request's documents it holds, in order.
struct ListBlock {
  size_t first = 0, count = 0;
  std::vector<int32_t> ids;
  std::vector<uint32_t> tokens;  // of each document's part; the first one's holds all that is no document's
};

struct ListTexts {
  std::string_view query;
  std::span<const int32_t> query_ids;                    // of the query alone
  std::span<const std::string> documents;                // texts
  std::span<const std::vector<int32_t>> document_ids;    // of each alone
  std::optional<std::string_view> instruction;           // absent: the default
  size_t max_length = 0;                                 // of a sequence
  size_t max_query_tokens = 0, max_document_tokens = 0;  // 0: the prompt's
  bool keep_end = false;                                 // of what is too long its end is kept, not its beginning
};

// Immutable and thread-safe.
class ListEncoder {
 public:
  // InvalidArgument where the tokenizer lacks the prompt's tokens.
  static Result<std::shared_ptr<const ListEncoder>> create(std::shared_ptr<const Tokenizer> tokenizer,
                                                           const ListPrompt& prompt, const PromptSettings& settings);

  // What tokenizes a query or a document alone.
  const std::shared_ptr<const PairEncoder>& texts() const { return texts_; }
  const ListPrompt& prompt() const { return prompt_; }

  // Tokens kept of the query and of each document. OutOfRange where the instruction and the prompt leave no room.
  struct Limits {
    size_t query = 0, document = 0;
  };
  Result<Limits> limits(const ListTexts& texts) const;

  Result<std::vector<ListBlock>> blocks(const ListTexts& texts) const;

 private:
  class Writer;
  class Filler;
  struct Asked {
    std::string query, instruction;  // as they stand in the prompt
  };
  ListEncoder(ListPrompt prompt, std::shared_ptr<const PairEncoder> texts, std::vector<ControlToken> tokens)
      : prompt_(std::move(prompt)), texts_(std::move(texts)), tokens_(std::move(tokens)) {}
  Result<std::string> kept(std::string_view text, std::span<const int32_t> ids, size_t limit, bool end) const;
  std::string instruction_of(const ListTexts& texts) const;
  std::vector<int32_t> front(size_t count, const Asked& asked, std::string_view document) const;
  std::vector<int32_t> next(size_t number, std::string_view document) const;
  std::vector<int32_t> back(const Asked& asked) const;

  const ListPrompt prompt_;
  const std::shared_ptr<const PairEncoder> texts_;
  const std::vector<ControlToken> tokens_;
  int32_t document_token_ = 0, query_token_ = 0;
};

}  // namespace rerank::text
