// Text -> token ids, exactly as Hugging Face `tokenizers` reads a tokenizer.json: normalizer, pre-tokenizer, model
// (WordPiece, Unigram, BPE, WordLevel), added tokens, post-processor. What it reads that is not supported is refused by
// name.
//
// A `truncation` or `padding` section does not rule: real files carry a max_length of 128 that is not meant. Limits are
// the caller's business; see text/pair.h for joining and cutting.
//
//   auto tokenizer = Tokenizer::from_folder("models/bge-reranker-v2-m3");
//   std::vector<int32_t> query;
//   (*tokenizer)->encode("what is a panda?", query);
//   EncodedPair pair = join_pair((*tokenizer)->pair_template(), query, document, {.max_length = 512});
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"
#include "text/origins.h"
#include "text/pair.h"

namespace rerank::text {

// Tokens by id: whether each is in the set. Shorter than the vocabulary where the rest is not.
using TokenSet = std::vector<bool>;

struct ControlToken {
  std::string_view text;
  int32_t id = 0;
  bool special = false;  // marked so: of the model's format, not of its language
};

// Immutable and thread-safe. Each thread that encodes keeps scratch memory and a cache of words (about 1 MB per model).
class Tokenizer {
 public:
  // Reads `tokenizer.json` of a Hugging Face folder, or builds it from vocab.txt or a model of SentencePiece where it
  // is not there (text/files/tokenizer_files.h), or of a GGUF file, which `folder` may also be itself
  // (text/files/gguf_tokenizer.h), and tokenizer_config.json (text/stages/tokenizer_config.h: its length,
  // and fields of classes that go before tokenizer.json's). NotFound when there is neither; InvalidArgument or
  // Unimplemented naming file and field when it is wrong or holds what is not supported; OutOfRange when it is larger
  // than 256 MB.
  static Result<std::shared_ptr<const Tokenizer>> from_folder(const std::string& folder);

  // Reads the text of a tokenizer.json. `origin` names it in errors: "tokenizer.json".
  static Result<std::shared_ptr<const Tokenizer>> from_json(std::string_view json, std::string_view origin);

  virtual ~Tokenizer() = default;

  // Appends the ids of `text`, without the special tokens of the template. Bytes that are not UTF-8 (encoded surrogates
  // among them) read as U+FFFD. Added tokens such as "[SEP]" in the text become their ids, as `tokenizers` has it.
  void encode(std::string_view text, std::vector<int32_t>& ids) const { encode(text, nullptr, ids); }

  // The same, but that the added tokens of `as_text` (may be null) are read as the characters that they are written
  // with.
  virtual void encode(std::string_view text, const TokenSet* as_text, std::vector<int32_t>& ids) const = 0;

  // The same ids, and the bytes of `text` that each new one stands for (of text that is not UTF-8: of its repaired
  // form): the offsets of `tokenizers`. For clients that look at tokens: several times slower than encode().
  virtual std::vector<TextSpan> encode_spans(std::string_view text, std::vector<int32_t>& ids) const = 0;

  // How many bytes `text` has once it is normalized: more than it had where characters are written out. Of blocks of
  // some kilobytes, so that it takes no memory; a difference of some bytes for each block is possible.
  virtual size_t normalized_bytes(std::string_view text) const = 0;

  // What no token reaches out of: the pieces of `text`, normalized, that the model makes into tokens one by one; added
  // tokens are pieces. For questions about a tokenizer, not for speed.
  virtual std::vector<std::string> pieces(std::string_view text) const = 0;

  // The text of ids, as the file's decoder joins them. Ids without a token are left out; so are special tokens where
  // `skip_special`. Unimplemented when the file has a decoder that is not supported.
  virtual Result<std::string> decode(std::span<const int32_t> ids, bool skip_special) const = 0;

  // As the vocabulary writes it: "##ing", "▁the", "Ġthe". Empty for ids without a token. Lives as long as the
  // tokenizer.
  virtual std::string_view token_text(int32_t id) const = 0;

  // Whether `id` is an added token that is marked special.
  virtual bool is_special(int32_t id) const = 0;

  virtual std::optional<int32_t> id_of(std::string_view token) const = 0;

  // The token for text that has none, as [UNK]; absent where every text has tokens, or none stands for it.
  virtual std::optional<int32_t> unknown_id() const = 0;

  // Those of the file's `added_tokens`, in its order. The texts live as long as the tokenizer.
  virtual std::vector<ControlToken> added_tokens() const = 0;

  // One above the largest id: rows that an embedding table needs.
  virtual size_t vocab_size() const = 0;

  // What joins texts to what the model reads.
  virtual const PairTemplate& pair_template() const = 0;

  // model_max_length of tokenizer_config.json, if it is there and says anything (some carry 1e30).
  virtual std::optional<size_t> model_max_length() const = 0;
};

}  // namespace rerank::text
