#include "text/lists/list_encoder.h"

#include <algorithm>

#include "base/status_macros.h"
#include "base/strings.h"
#include "text/chat/cuts.h"

namespace rerank::text {
namespace {

// Of modeling.py that comes with jina-reranker-v3.
ListPrompt jina_v3() {
  return {
      .name = "jina-reranker-v3",
      .before =
          "<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages "
          "based on how relevant they are to the query. If the query is a question, how relevant a passage is "
          "depends on how well it answers the question. If not, try to analyze the intent of the query and "
          "assess how well each passage satisfies the intent. If an instruction is provided, you should follow "
          "the instruction when determining the ranking.<|im_end|>\n<|im_start|>user\nI will provide you with "
          "{count} passages, each indicated by a numerical identifier. Rank the passages based on their "
          "relevance to query: {query}\n{instruction}",
      .document = "<passage id=\"{number}\">\n{document}",
      .between = "\n</passage>\n",
      .after = "\n</passage>\n<query>\n{query}",
      .end = "\n</query><|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
      .instruction_form = "<instruct>\n{instruction}\n</instruct>\n",
      .document_token = "<|embed_token|>",
      .query_token = "<|rerank_token|>",
  };
}

// What texts may have more in the prompt than alone, where they meet its own.
constexpr size_t kJoints = 16;

}  // namespace

Result<ListPrompt> known_list_prompt(std::string_view name) {
  ListPrompt known = jina_v3();
  if (name == known.name) return known;
  return absl::NotFoundError(str_cat("no template for lists is named `", name, "`; there is ", known.name));
}

// Text of the prompt and of users, in order, as ids: only the prompt's own text has control tokens, and where there is
// none between them the two are tokenized as one text.
class ListEncoder::Writer {
 public:
  Writer(const ListEncoder& encoder, std::vector<int32_t>& ids) : encoder_(encoder), ids_(ids) {}

  // A part of the prompt, and what its marks become.
  using Filling = std::pair<std::string_view, std::string_view>;
  void write(std::string_view part, std::initializer_list<Filling> fillings) {
    while (!part.empty()) {
      size_t at = part.npos;
      const Filling* next = nullptr;
      for (const Filling& filling : fillings) {
        const size_t found = part.find(filling.first);
        if (found < at) at = found, next = &filling;
      }
      write_own(part.substr(0, at));
      if (next == nullptr) return;
      text_ += next->second;
      part.remove_prefix(at + next->first.size());
    }
  }
  void write_token(int32_t id) {
    flush();
    ids_.push_back(id);
  }
  void flush() {
    const TokenSet& as_text = encoder_.texts_->as_text();
    if (!text_.empty()) encoder_.texts_->tokenizer().encode(text_, as_text.empty() ? nullptr : &as_text, ids_);
    text_.clear();
  }

 private:
  void write_own(std::string_view text) {
    for (const std::string_view piece : divided(text, encoder_.tokens_)) {
      const auto token = std::ranges::find(encoder_.tokens_, piece, &ControlToken::text);
      token == encoder_.tokens_.end() ? void(text_ += piece) : write_token(token->id);
    }
  }

  const ListEncoder& encoder_;
  std::vector<int32_t>& ids_;
  std::string text_;
};

Result<std::shared_ptr<const ListEncoder>> ListEncoder::create(std::shared_ptr<const Tokenizer> tokenizer,
                                                               const ListPrompt& prompt,
                                                               const PromptSettings& settings) {
  const std::vector<ControlToken> tokens = tokenizer->added_tokens();
  const std::string all = str_cat(prompt.before, prompt.document, prompt.between, prompt.after, prompt.end);
  TokenSet as_text;
  for (const ControlToken& token : tokens) {
    const bool mark = token.text == prompt.document_token || token.text == prompt.query_token;
    if (!mark && (settings.parse_special || (!token.special && all.find(token.text) == all.npos))) continue;
    as_text.resize(std::max(as_text.size(), static_cast<size_t>(token.id) + 1));
    as_text[static_cast<size_t>(token.id)] = true;
  }
  const PromptTemplate named = {.name = prompt.name, .text = all, .instruction_form = prompt.instruction_form};
  auto texts = PairEncoder::of_lists(std::move(tokenizer), named, settings, std::move(as_text),
                                     {prompt.document_token, prompt.query_token});
  std::shared_ptr<ListEncoder> encoder(new ListEncoder(prompt, std::move(texts), tokens));
  for (const std::string* name : {&prompt.document_token, &prompt.query_token}) {
    const auto token = std::ranges::find(tokens, *name, &ControlToken::text);
    if (token == tokens.end())
      return absl::InvalidArgumentError(str_cat("template ", prompt.name, ": the tokenizer has no token ", *name));
    (name == &prompt.document_token ? encoder->document_token_ : encoder->query_token_) = token->id;
  }
  return std::shared_ptr<const ListEncoder>(std::move(encoder));
}

// A user's text, or what `limit` of its tokens say, as the makers' code cuts: tokens, and the text that they make.
Result<std::string> ListEncoder::kept(std::string_view text, std::span<const int32_t> ids, size_t limit,
                                      bool end) const {
  if (ids.size() <= limit) return texts_->cleaned(text);
  return texts_->tokenizer().decode(end ? ids.last(limit) : ids.first(limit), /*skip_special=*/false);
}

// All up to the first document's token.
std::vector<int32_t> ListEncoder::front(size_t count, const Asked& asked, std::string_view document) const {
  std::vector<int32_t> ids;
  Writer writer(*this, ids);
  writer.write(prompt_.before,
               {{"{count}", str_cat(count)}, {"{query}", asked.query}, {"{instruction}", asked.instruction}});
  writer.write(prompt_.document, {{"{number}", "0"}, {"{document}", document}});
  writer.write_token(document_token_);
  return ids;
}

// ... and up to that of another document.
std::vector<int32_t> ListEncoder::next(size_t number, std::string_view document) const {
  std::vector<int32_t> ids;
  Writer writer(*this, ids);
  writer.write(prompt_.between, {});
  writer.write(prompt_.document, {{"{number}", str_cat(number)}, {"{document}", document}});
  writer.write_token(document_token_);
  return ids;
}

// What stands after the last one.
std::vector<int32_t> ListEncoder::back(const Asked& asked) const {
  std::vector<int32_t> ids;
  Writer writer(*this, ids);
  writer.write(prompt_.after, {{"{query}", asked.query}});
  writer.write_token(query_token_);
  writer.write(prompt_.end, {});
  writer.flush();
  return ids;
}

std::string ListEncoder::instruction_of(const ListTexts& texts) const {
  const std::string_view instruction = texts.instruction.value_or(texts_->default_instruction());
  if (instruction.empty()) return "";
  constexpr std::string_view kMark = "{instruction}";
  std::string form = prompt_.instruction_form;
  return form.replace(form.find(kMark), kMark.size(), texts_->cleaned(instruction));
}

Result<ListEncoder::Limits> ListEncoder::limits(const ListTexts& texts) const {
  const auto least = [](size_t a, size_t b) { return b == 0 ? a : std::min(a, b); };
  // A short sequence has room for the query twice, and for as much of a document.
  Limits limits{.query = least(std::min(prompt_.query_tokens, texts.max_length / 4), texts.max_query_tokens),
                .document = least(prompt_.document_tokens, texts.max_document_tokens)};
  limits.query = std::min(limits.query, texts.query_ids.size());
  const Asked bare{"", instruction_of(texts)};
  const size_t around = front(prompt_.documents, bare, "").size() + back(bare).size() + 2 * limits.query + kJoints;
  if (around >= texts.max_length) {
    return absl::OutOfRangeError(
        str_cat("the query (", limits.query, " tokens, twice), the instruction and the template have ", around,
                " tokens: of the ", texts.max_length, " of a sequence they leave nothing for documents"));
  }
  limits.document = std::min(limits.document, texts.max_length - around);
  return limits;
}

// Takes one document after another.
class ListEncoder::Filler {
 public:
  Filler(const ListEncoder& encoder, const ListTexts& texts, const Limits& limits, Asked asked)
      : encoder_(encoder),
        texts_(texts),
        limits_(limits),
        asked_(std::move(asked)),
        end_(encoder.back(asked_)),
        // As the makers count: documents alone, and the query twice.
        whole_(texts.max_length - std::min(texts.max_length, 2 * limits.query)) {}

  Status add(size_t i) {
    const size_t tokens = std::min(limits_.document, texts_.document_ids[i].size());
    ASSIGN_OR_RETURN(std::string document, kept(i, tokens));
    if (blocks_.empty() || left_ <= limits_.document || blocks_.back().count == encoder_.prompt_.documents) {
      RETURN_IF_ERROR(begin(i, tokens, std::move(document)));
    } else {
      const std::vector<int32_t> part = encoder_.next(blocks_.back().count, document);
      if (first_tokens_ + rest_.size() + part.size() + end_.size() > texts_.max_length) {
        RETURN_IF_ERROR(begin(i, tokens, std::move(document)));
      } else {
        rest_.insert(rest_.end(), part.begin(), part.end());
        blocks_.back().tokens.push_back(static_cast<uint32_t>(part.size()));
        ++blocks_.back().count;
      }
    }
    left_ -= std::min(left_, tokens);
    return ok_status();
  }

  std::vector<ListBlock> take() {
    finish();
    return std::move(blocks_);
  }

 private:
  Result<std::string> kept(size_t i, size_t tokens) const {
    return encoder_.kept(texts_.documents[i], texts_.document_ids[i], tokens, texts_.keep_end);
  }

  // A block with document `i`. In it texts may have a few tokens more than alone: what is too much goes.
  Status begin(size_t i, size_t tokens, std::string document) {
    finish();
    while (true) {
      first_tokens_ = encoder_.front(encoder_.prompt_.documents, asked_, document).size();
      const size_t all = first_tokens_ + end_.size();
      if (all <= texts_.max_length || tokens == 0) break;
      tokens -= std::min(tokens, all - texts_.max_length);
      ASSIGN_OR_RETURN(document, kept(i, tokens));
    }
    blocks_.push_back({.first = i, .count = 1, .ids = {}, .tokens = {0}});
    first_ = std::move(document);
    rest_.clear();
    left_ = whole_;
    return ok_status();
  }

  void finish() {
    if (blocks_.empty()) return;
    ListBlock& block = blocks_.back();
    block.ids = encoder_.front(block.count, asked_, first_);
    block.tokens[0] = static_cast<uint32_t>(block.ids.size() + end_.size());
    block.ids.insert(block.ids.end(), rest_.begin(), rest_.end());
    block.ids.insert(block.ids.end(), end_.begin(), end_.end());
  }

  const ListEncoder& encoder_;
  const ListTexts& texts_;
  const Limits limits_;
  const Asked asked_;
  const std::vector<int32_t> end_;
  const size_t whole_;
  std::vector<ListBlock> blocks_;
  std::string first_;          // document of the block that is being filled
  size_t first_tokens_ = 0;    // up to its token
  std::vector<int32_t> rest_;  // ids of the block's others
  size_t left_ = 0;            // tokens of documents that it may have
};

Result<std::vector<ListBlock>> ListEncoder::blocks(const ListTexts& texts) const {
  ASSIGN_OR_RETURN(const Limits limit, limits(texts));
  ASSIGN_OR_RETURN(std::string query, kept(texts.query, texts.query_ids, limit.query, texts.keep_end));
  Filler filler(*this, texts, limit, {std::move(query), instruction_of(texts)});
  for (size_t i = 0; i < texts.documents.size(); ++i) RETURN_IF_ERROR(filler.add(i));
  return filler.take();
}

}  // namespace rerank::text
