// The `decoder` of tokenizer.json: token texts -> text, as Hugging Face `tokenizers` joins them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/reader.h"
#include "rerank/status.h"

namespace rerank::text {

// Immutable and thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;

  // Replaces the texts of tokens by parts of the decoded text. Bytes that are no UTF-8 become U+FFFD.
  virtual void apply(std::vector<std::string>& parts) const = 0;
};

// The decoder described by `json`; null for JSON null: tokens are joined by blanks. Unimplemented for one that is not
// known.
Result<std::unique_ptr<const Decoder>> parse_decoder(const JsonField& json);

// The byte that a token of byte fallback stands for: "<0x0A>" is 10.
std::optional<char> byte_of_token(std::string_view token);

}  // namespace rerank::text
