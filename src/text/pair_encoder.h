// Texts of a pair -> what the model reads: with tokenizer.json's own template for two texts (cross-encoders), or with a
// prompt (decoders). The one place that knows which.
//
//   auto encoder = PairEncoder::with_prompt(tokenizer, *known_prompt("qwen3-reranker"), {});
//   std::vector<int32_t> query, document;
//   (*encoder)->encode_query({.query = "what is a panda?"}, query);
//   (*encoder)->encode_document("The giant panda is a bear.", document);
//   fit_document((*encoder)->pieces(), QueryTerms(query), document, {.strategy = (*encoder)->strategy()});
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "rerank/truncation.h"
#include "text/pair.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

namespace rerank::text {

struct PromptSettings {
  std::optional<std::string> instruction;  // instead of the template's own, where a request has none
  bool parse_special = false;              // control tokens in users' texts become their ids
};

struct QueryText {
  std::string_view query;
  std::optional<std::string_view> instruction;  // absent: the default
  size_t max_query_tokens = 0;                  // tokens kept of the query's own text; 0: no own limit
  size_t max_length = SIZE_MAX;                 // of the pair that it will be part of
  Truncation truncation = Truncation::kHead;    // which end goes
};

// Immutable and thread-safe.
class PairEncoder {
 public:
  // Of a cross-encoder: texts as they are, but that `before` stands before each query.
  static std::shared_ptr<const PairEncoder> plain(std::shared_ptr<const Tokenizer> tokenizer, std::string before = "");

  // Of a model that reads documents together: texts alone, as ListEncoder (text/lists) joins them. `removed`: what is
  // taken out of them first; `as_text`: tokens that they cannot have. `prompt`: its name and instructions are taken.
  static std::shared_ptr<const PairEncoder> of_lists(std::shared_ptr<const Tokenizer> tokenizer,
                                                     const PromptTemplate& prompt, const PromptSettings& settings,
                                                     TokenSet as_text, std::vector<std::string> removed);

  // InvalidArgument when the template has not the marks that it needs, or names the template's part that is wrong.
  static Result<std::shared_ptr<const PairEncoder>> with_prompt(std::shared_ptr<const Tokenizer> tokenizer,
                                                                const PromptTemplate& prompt,
                                                                const PromptSettings& settings);

  const Tokenizer& tokenizer() const { return *tokenizer_; }

  // A text of a user without what is removed from it, and the tokens that it cannot have. Of lists.
  std::string cleaned(std::string_view text) const;
  const TokenSet& as_text() const { return as_text_; }

  // What joins the ids of query and document; how pairs that are too long are cut.
  const PairTemplate& pieces() const { return prompt_ ? pieces_ : tokenizer_->pair_template(); }
  TruncationStrategy strategy() const {
    return prompt_ ? TruncationStrategy::kOnlySecond : TruncationStrategy::kLongestFirst;
  }

  // The prompt's; empty: there is none.
  const std::string& prompt_name() const { return name_; }
  bool takes_instruction() const { return !instruction_form_.empty(); }
  // InvalidArgument for an instruction that the model does not take.
  Status check_instruction(bool given) const;
  // The instruction of a request that has this one.
  std::string_view instruction_of(const std::optional<std::string>& instruction) const {
    return instruction ? std::string_view(*instruction) : default_instruction();
  }
  std::string_view default_instruction() const { return default_instruction_; }
  // What scores depend on besides the tokenizer: part of a model's fingerprint.
  const std::string& identity() const { return identity_; }

  // Appends the ids of the query's part, instruction included; returns whether some of the query was cut. With a prompt
  // a query is cut where its part is more than three quarters of max_length, so that it and the document both count, as
  // the packages of mxbai and BAAI cut. InvalidArgument for an instruction that the model does not take, OutOfRange for
  // one that leaves no room.
  Result<bool> encode_query(const QueryText& text, std::vector<int32_t>& ids) const;

  // Appends the ids of the document's part.
  void encode_document(std::string_view document, std::vector<int32_t>& ids) const;

 private:
  explicit PairEncoder(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}
  Status read_template(const PromptTemplate& prompt, std::string_view given);
  Status read_without_instruction(const PromptTemplate& prompt);
  struct Segment {
    std::string text;  // with marks
    bool fixed = false;
  };
  Status read_segments(const std::vector<Segment>& segments, bool front);
  Status add_document(std::string_view segment);
  void add_fixed(std::string_view text);
  void encode_alone(std::string_view text, std::vector<int32_t>& ids) const;
  void encode_query_part(std::string_view query, std::string_view instruction, std::vector<int32_t>& ids) const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  bool prompt_ = false;
  PairTemplate pieces_;
  std::string query_before_;  // of a cross-encoder
  std::string name_;
  // What is tokenized with a query: its segment, that of the instruction, and what is between.
  std::vector<Segment> query_part_;
  std::vector<Segment> bare_query_part_;  // without an instruction; empty: query_part_
  std::string document_before_;           // in its segment
  std::string default_instruction_, instruction_form_, identity_;
  TokenSet as_text_;                  // of users' texts
  std::vector<std::string> removed_;  // from users' texts
};

}  // namespace rerank::text
