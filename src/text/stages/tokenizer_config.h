// tokenizer_config.json: what is said beside tokenizer.json, and changes what tokenizer.json says.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "rerank/status.h"

namespace rerank {
class JsonField;
}

namespace rerank::text {

struct UnappliedField;  // a row of a table

struct TokenizerConfig {
  // If it is there and says anything (some carry 1e30).
  std::optional<size_t> model_max_length;

  // BertTokenizer and its like, named as `tokenizer_class`: transformers makes their BertNormalizer of these fields,
  // whether they are there or not, and not of tokenizer.json's.
  struct Bert {
    bool lowercase = true;
    std::optional<bool> strip_accents;  // absent: as lowercase
    bool ideographs = true;
  };
  std::optional<Bert> bert;

  // RobertaTokenizer: of its ByteLevel pre-tokenizer, likewise.
  std::optional<bool> add_prefix_space;

  // Fields of other classes that change ids, and that are not applied: tokenizer.json must do what they say.
  std::vector<const UnappliedField*> unapplied;
};

// InvalidArgument, naming `origin` and field, for what is no JSON object or holds another type than a field has.
Result<TokenizerConfig> read_tokenizer_config(std::string json, std::string origin);

// Unimplemented, naming the field, when tokenizer.json (`root`) does not do what an unapplied field says.
Status check_unapplied(const TokenizerConfig& config, const JsonField& root);

}  // namespace rerank::text
