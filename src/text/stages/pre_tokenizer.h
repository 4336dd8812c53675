// The `pre_tokenizer` of tokenizer.json: how a normalized text is cut into the pieces that the model turns into tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/json/reader.h"
#include "rerank/status.h"
#include "text/origins.h"

namespace rerank::text {

// A span of Pieces::text; never empty.
struct Piece {
  size_t begin = 0;
  size_t end = 0;
  bool at_start = false;  // begins with the first character of what the caller gave
};

// A text and the spans of it that are left. Pre-tokenizers replace the list, and some the text too.
struct Pieces {
  std::string text;  // valid UTF-8
  std::vector<Piece> list;

  // For the next text and list; of no meaning between calls.
  std::string text_scratch;
  std::vector<Piece> list_scratch;

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
  void swap_list() { list.swap(list_scratch); }
  void swap_text() { text.swap(text_scratch); }
};

// Immutable and thread-safe. `apply` cannot fail.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Pieces& pieces) const = 0;

  // The same, and `origins` of the text's bytes become those of the new text's. Here for those that only split.
  virtual void apply_aligned(Pieces& pieces, Origins&) const { apply(pieces); }

  // For byte-level splitters: stop replacing bytes by their printable characters. True if that was all the difference,
  // so that a model that knows its tokens as bytes may be given pieces of plain text.
  virtual bool skip_byte_chars() { return false; }

  // As Normalizer::growth().
  virtual double growth() const { return 1; }
};

std::unique_ptr<PreTokenizer> make_byte_level_pre_tokenizer(bool add_prefix_space);

// The pre-tokenizer described by `json`; null for JSON null, which leaves the text whole.
Result<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const JsonField& json);

}  // namespace rerank::text
