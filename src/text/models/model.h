// The `model` of tokenizer.json: pieces of text -> token ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/json/reader.h"
#include "rerank/status.h"
#include "text/models/vocabulary.h"

namespace rerank::text {

// Immutable and thread-safe. `append_ids` cannot fail: what a file could get wrong is found when it is read.
class TokenizerModel {
 public:
  virtual ~TokenizerModel() = default;

  // Appends the ids of `piece` (valid UTF-8, not empty).
  virtual void append_ids(std::string_view piece, std::vector<int32_t>& ids) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // The token for what has none; -1: such text is left out, or there is no such text.
  int32_t unknown() const { return unknown_; }

  // What `tokenizers` takes for the size: added tokens that are new to the model get ids from here on.
  virtual size_t size() const { return vocabulary_.size(); }

  // For models that can take plain text where their tokens are written in byte-level characters; true if it now does.
  virtual bool take_plain_bytes() { return false; }

 protected:
  Vocabulary vocabulary_;
  int32_t unknown_ = -1;
};

// The model described by `json`. InvalidArgument for what is wrong, Unimplemented for what is not supported.
Result<std::unique_ptr<TokenizerModel>> parse_model(const JsonField& json);

// One parser per kind; model.cc lists them.
Result<std::unique_ptr<TokenizerModel>> parse_wordpiece(const JsonField& json);
Result<std::unique_ptr<TokenizerModel>> parse_unigram(const JsonField& json);
Result<std::unique_ptr<TokenizerModel>> parse_bpe(const JsonField& json);

// Reads a vocabulary that is an object of token -> id.
Status read_vocabulary(const JsonField& json, Vocabulary& vocabulary);

}  // namespace rerank::text
