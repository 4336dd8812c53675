// The `normalizer` of tokenizer.json: what is done to a text before it is split.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json/reader.h"
#include "rerank/status.h"
#include "text/origins.h"

namespace rerank::text {

// A text on its way through the normalizers.
struct NormalizedText {
  std::string value;    // valid UTF-8
  std::string scratch;  // for the next value; of no meaning between calls
  // Whether the first character of `value` comes from the very start of what the caller gave; Metaspace asks.
  bool at_start = true;

  // Makes what a normalizer wrote to `scratch` the value.
  void swap() { value.swap(scratch); }
};

// Immutable and thread-safe. `apply` cannot fail.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;

  // The same, and `origins` of the text's bytes become those of the new text's.
  virtual void apply_aligned(NormalizedText& text, Origins& origins) const;

  // How many times as long a text may become at most by what the file says, however often it is applied. 1 for the
  // forms of Unicode, which make a text up to 11 times as long, but once.
  virtual double growth() const { return 1; }
};

// What a BertNormalizer of these fields does. `strip_accents` absent: as `lowercase`.
std::unique_ptr<const Normalizer> make_bert_normalizer(bool lowercase, std::optional<bool> strip_accents,
                                                       bool ideographs);

// The normalizer described by `json`; null for JSON null, which changes nothing.
Result<std::unique_ptr<const Normalizer>> parse_normalizer(const JsonField& json);

}  // namespace rerank::text
