// What becomes of a document that is longer than the model, or the operator, allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rerank/choice.h"

namespace rerank {

enum class Truncation {
  kHead,        // its beginning is kept: what Hugging Face does
  kTail,        // its end, and the query's end: truncation_side "left"
  kHeadTail,    // half of the room for its beginning, half for its end
  kQueryAware,  // its first window, and the windows that share most with the query
  kChunks,      // it is scored in overlapping chunks, and the chunks' logits become one
};

template <>
struct Choices<Truncation> {
  static constexpr Choice<Truncation> kAll[] = {
      {Truncation::kHead, "head"},          {Truncation::kTail, "tail"},
      {Truncation::kHeadTail, "head-tail"}, {Truncation::kQueryAware, "query-aware"},
      {Truncation::kChunks, "chunks"},
  };
};

// How documents are cut into chunks, and chunks' logits become one: the mean of the best `best` of them.
struct Chunking {
  size_t overlap = 32;     // tokens that neighbours share
  size_t max_chunks = 16;  // chunks of one document; what lies after them is cut
  size_t best = 1;         // 1: the largest logit; 0: the mean of all

  bool operator==(const Chunking&) const = default;
};

// A part of a document: tokens [begin, end) of its own.
struct TokenRange {
  uint32_t begin = 0, end = 0;

  bool operator==(const TokenRange&) const = default;
};

// How chunks' logits become one, as text: "max", "mean", or "top2", "top3", ...
struct ChunkScore {
  size_t best = 1;  // see Chunking::best

  bool operator==(const ChunkScore&) const = default;
};

// nullopt: none of them.
inline std::optional<ChunkScore> parse_chunk_score(std::string_view word) {
  if (word == "max") return ChunkScore{1};
  if (word == "mean") return ChunkScore{0};
  if (!word.starts_with("top") || word.size() < 4 || word.size() > 6) return std::nullopt;
  size_t best = 0;
  for (char c : word.substr(3)) {
    if (c < '0' || c > '9') return std::nullopt;
    best = best * 10 + static_cast<size_t>(c - '0');
  }
  return best == 0 ? std::nullopt : std::optional(ChunkScore{best});
}

inline std::string to_string(ChunkScore score) {
  return score.best == 0 ? "mean" : score.best == 1 ? "max" : "top" + std::to_string(score.best);
}

}  // namespace rerank
