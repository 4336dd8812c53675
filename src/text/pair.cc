#include "text/pair.h"

#include <algorithm>

namespace rerank::text {
namespace {

size_t count_kind(const std::vector<TemplatePiece>& pieces, TemplatePiece::Kind kind) {
  return std::count_if(pieces.begin(), pieces.end(), [&](const TemplatePiece& p) { return p.kind == kind; });
}

// Both sequences are cut so that together they have `budget` tokens: the shorter one keeps all it has up to half.
PairLengths longest_first(size_t first, size_t second, size_t budget) {
  const bool swapped = first > second;
  size_t shorter = std::min(first, second);
  // As in `tokenizers`: when even the shorter one is over the limit, the longer one is taken to be as short.
  size_t longer = shorter > budget ? shorter : std::max(shorter, budget - shorter);
  if (shorter + longer > budget) {
    shorter = budget / 2;
    longer = shorter + budget % 2;
  }
  return swapped ? PairLengths{longer, shorter, true} : PairLengths{shorter, longer, true};
}

std::span<const int32_t> cut(std::span<const int32_t> tokens, size_t length, TruncationSide side) {
  length = std::min(length, tokens.size());
  return side == TruncationSide::kRight ? tokens.first(length) : tokens.last(length);
}

EncodedPair join(const std::vector<TemplatePiece>& pieces, std::span<const int32_t> first,
                 std::span<const int32_t> second) {
  EncodedPair out;
  const size_t length = count_kind(pieces, TemplatePiece::Kind::kSpecial) +
                        count_kind(pieces, TemplatePiece::Kind::kFirst) * first.size() +
                        count_kind(pieces, TemplatePiece::Kind::kSecond) * second.size();
  out.ids.reserve(length);
  out.type_ids.reserve(length);
  for (const TemplatePiece& piece : pieces) {
    std::span<const int32_t> tokens(&piece.id, 1);
    if (piece.kind == TemplatePiece::Kind::kFirst) tokens = first;
    if (piece.kind == TemplatePiece::Kind::kSecond) tokens = second;
    out.ids.insert(out.ids.end(), tokens.begin(), tokens.end());
    out.type_ids.insert(out.type_ids.end(), tokens.size(), piece.type_id);
  }
  return out;
}

}  // namespace

size_t PairTemplate::added_to_single() const { return count_kind(single, TemplatePiece::Kind::kSpecial); }
size_t PairTemplate::added_to_pair() const { return count_kind(pair, TemplatePiece::Kind::kSpecial); }

PairLengths truncated_lengths(size_t first, size_t second, size_t added, const TruncationSpec& spec) {
  const size_t budget = spec.max_length > added ? spec.max_length - added : 0;
  if (first + second <= budget) return {first, second, false};
  if (budget == 0) return {0, 0, true};
  const size_t excess = first + second - budget;
  switch (spec.strategy) {
    case TruncationStrategy::kOnlyFirst:
      if (first > excess) return {first - excess, second, true};
      break;
    case TruncationStrategy::kOnlySecond:
      if (second > excess) return {first, second - excess, true};
      break;
    case TruncationStrategy::kLongestFirst:
      break;
  }
  return longest_first(first, second, budget);
}

size_t joined_length(const PairTemplate& pieces, size_t first, size_t second, const TruncationSpec& spec) {
  const size_t added = pieces.added_to_pair();
  const PairLengths kept = truncated_lengths(first, second, added, spec);
  return added + count_kind(pieces.pair, TemplatePiece::Kind::kFirst) * kept.first +
         count_kind(pieces.pair, TemplatePiece::Kind::kSecond) * kept.second;
}

EncodedPair join_pair(const PairTemplate& pieces, std::span<const int32_t> first, std::span<const int32_t> second,
                      const TruncationSpec& spec) {
  const PairLengths kept = truncated_lengths(first.size(), second.size(), pieces.added_to_pair(), spec);
  EncodedPair out = join(pieces.pair, cut(first, kept.first, spec.side), cut(second, kept.second, spec.side));
  out.truncated = kept.truncated;
  return out;
}

EncodedPair join_single(const PairTemplate& pieces, std::span<const int32_t> tokens, const TruncationSpec& spec) {
  const size_t added = pieces.added_to_single();
  const size_t budget = spec.max_length > added ? spec.max_length - added : 0;
  EncodedPair out = join(pieces.single, cut(tokens, budget, spec.side), {});
  out.truncated = tokens.size() > budget;
  return out;
}

}  // namespace rerank::text
