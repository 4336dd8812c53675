// What becomes of a document that is longer than the model, or the operator, allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rerank {

enum class Truncation {
  kHead,        // its beginning is kept: what Hugging Face does
  kTail,        // its end, and the query's end: truncation_side "left"
  kHeadTail,    // half of the room for its beginning, half for its end
  kQueryAware,  // its first window, and the windows that share most with the query
  kChunks,      // it is scored in overlapping chunks, and the chunks' logits become one
};

// How documents are cut into chunks, and chunks' logits become one: the mean of the best `best` of them.
struct Chunking {
  size_t overlap = 32;     // tokens that neighbours share
  size_t max_chunks = 16;  // chunks of one document; what lies behind them is cut
  size_t best = 1;         // 1: the largest logit; 0: the mean of all

  bool operator==(const Chunking&) const = default;
};

// A part of a document: tokens [begin, end) of its own.
struct TokenRange {
  uint32_t begin = 0, end = 0;

  bool operator==(const TokenRange&) const = default;
};

inline constexpr std::string_view kTruncationNames[] = {"head", "tail", "head-tail", "query-aware", "chunks"};

// "head", "head-tail" or "head_tail", ...; nullopt: none of them.
inline std::optional<Truncation> parse_truncation(std::string_view word) {
  for (size_t i = 0; i < std::size(kTruncationNames); ++i) {
    const std::string_view name = kTruncationNames[i];
    bool same = name.size() == word.size();
    for (size_t c = 0; same && c < name.size(); ++c) same = name[c] == word[c] || (name[c] == '-' && word[c] == '_');
    if (same) return static_cast<Truncation>(i);
  }
  return std::nullopt;
}

// "max", "mean", or "top2", "top3", ... as Chunking::best; nullopt: none of them.
inline std::optional<size_t> parse_chunk_score(std::string_view word) {
  if (word == "max") return 1;
  if (word == "mean") return 0;
  if (!word.starts_with("top") || word.size() < 4 || word.size() > 6) return std::nullopt;
  size_t best = 0;
  for (char c : word.substr(3)) {
    if (c < '0' || c > '9') return std::nullopt;
    best = best * 10 + static_cast<size_t>(c - '0');
  }
  return best == 0 ? std::nullopt : std::optional<size_t>(best);
}

}  // namespace rerank
