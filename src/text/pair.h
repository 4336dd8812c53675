// Query and document, as token ids, joined into what a cross-encoder reads: cut to a limit, with the special tokens and
// segment ids of the model's template. Plain functions over plain data; no text, no tokenizer.
//
// Cutting is exactly that of Hugging Face `tokenizers` (utils/truncation.rs, stride 0), except where that fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "rerank/types.h"

namespace rerank::text {

// One piece of a template: a special token, or one of the two sequences.
struct TemplatePiece {
  enum class Kind { kSpecial, kFirst, kSecond };

  Kind kind = Kind::kSpecial;
  int32_t id = 0;       // of a special token
  int32_t type_id = 0;  // segment id of the special token or of each token of the sequence

  bool operator==(const TemplatePiece&) const = default;
};

// What the post-processor of tokenizer.json does, as pieces in order.
struct PairTemplate {
  std::vector<TemplatePiece> single;
  std::vector<TemplatePiece> pair;

  // Special tokens added to one sequence or to a pair.
  size_t added_to_single() const;
  size_t added_to_pair() const;
};

enum class TruncationStrategy { kLongestFirst, kOnlyFirst, kOnlySecond };

struct TruncationSpec {
  size_t max_length = 512;  // tokens in the result, special tokens included
  TruncationStrategy strategy = TruncationStrategy::kLongestFirst;
  TruncationSide side = TruncationSide::kRight;  // the end that is cut
};

// Tokens kept of each sequence.
struct PairLengths {
  size_t first = 0;
  size_t second = 0;
  bool truncated = false;

  bool operator==(const PairLengths&) const = default;
};

// What is kept of sequences of `first` and `second` tokens when `added` special tokens join them. Where `tokenizers`
// would fail, since the one sequence that may be cut is too short for it, both are cut as by longest_first. A limit
// below the number of special tokens keeps nothing of either.
PairLengths truncated_lengths(size_t first, size_t second, size_t added, const TruncationSpec& spec);

// Tokens of the joined pair, special tokens included: the length of what join_pair makes.
size_t joined_length(const PairTemplate& pieces, size_t first, size_t second, const TruncationSpec& spec);

struct EncodedPair {
  std::vector<int32_t> ids;
  std::vector<int32_t> type_ids;  // as long as ids
  bool truncated = false;
};

// Joins a pair. The spans are only read.
EncodedPair join_pair(const PairTemplate& pieces, std::span<const int32_t> first, std::span<const int32_t> second,
                      const TruncationSpec& spec);

// Joins one sequence with its special tokens.
EncodedPair join_single(const PairTemplate& pieces, std::span<const int32_t> tokens, const TruncationSpec& spec);

}  // namespace rerank::text
