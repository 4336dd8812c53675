// How texts become pairs of tokens, and what is kept of long documents.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "rerank/options/option_info.h"
#include "rerank/truncation.h"
#include "rerank/types.h"

namespace rerank {

struct TextOptions {
  size_t max_length = 0;
  static constexpr OptionInfo kMaxLength =
      OptionInfo{
          "max-length", "TOKENS", "Texts",
          "Longest pair scored, special tokens included; longer ones are cut. 0: what the model's config.json "
          "recommends (rerankd.max_length), else its limit. Lower it (512, 1024) to bound the time that one long "
          "document can take."}
          .within(0, 10000000);

  std::optional<Truncation> truncation;  // absent: auto
  static constexpr OptionInfo kTruncation{
      "truncation", "HOW", "Texts",
      "What is kept of documents over the limit: auto (what the model's config.json recommends as "
      "rerankd.truncation, else head), head, tail, head-tail, query-aware (the windows that share most with the "
      "query; costs no more than head), or chunks (all of it, in overlapping pieces; costs as much as the document "
      "is long). A request may ask for something else."};

  ChunkScore chunk_score;
  static constexpr OptionInfo kChunkScore{
      "chunk-score", "HOW", "Texts",
      "How the logits of chunks become a document's: max, mean, or topN (top2: mean of the best two)."};

  size_t chunk_overlap = 32;
  static constexpr OptionInfo kChunkOverlap =
      OptionInfo{"chunk-overlap", "TOKENS", "Texts",
                 "Tokens that neighbouring chunks share, so that no sentence is torn."}
          .within(0, 1000000);

  size_t max_chunks = 16;
  static constexpr OptionInfo kMaxChunks =
      OptionInfo{"max-chunks", "N", "Texts", "Chunks of one document; what comes after them is cut. Bounds its time."}
          .within(1, 100000);

  ScoreScale score_scale = ScoreScale::kSigmoid;
  static constexpr OptionInfo kScoreScale{
      "score-scale", "HOW", "Texts",
      "What scores are where a request does not say: sigmoid (0 to 1), logit (the model's output), or auto: logit "
      "where "
      "the model's files name Identity as their activation function, else sigmoid. rerankd inspect and /info show it."};

  std::string prompt;
  static constexpr OptionInfo kPrompt{
      "template", "NAME|FILE", "Texts",
      "Of a decoder: the prompt around query and document, by name (rerankd inspect shows the model's own) or a file "
      "with {query}, {document} and perhaps {instruction}; docs/prompts.md. Empty: the model's."};

  std::string instruction;
  static constexpr OptionInfo kInstruction{
      "instruction", "TEXT", "Texts",
      "Of a decoder: what queries are for, where a request does not say. Empty: the template's own."};

  bool parse_special = false;
  static constexpr OptionInfo kParseSpecial{
      "parse-special", "BOOL", "Texts",
      "Of a decoder: whether a control token's text in a query or document (<|im_end|>) becomes that token, as in the "
      "models' own code, instead of being read as text."};

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kMaxLength, options.max_length);
    visit_field(kTruncation, options.truncation);
    visit_field(kChunkScore, options.chunk_score);
    visit_field(kChunkOverlap, options.chunk_overlap);
    visit_field(kMaxChunks, options.max_chunks);
    visit_field(kScoreScale, options.score_scale);
    visit_field(kPrompt, options.prompt);
    visit_field(kInstruction, options.instruction);
    visit_field(kParseSpecial, options.parse_special);
  }
};

}  // namespace rerank
