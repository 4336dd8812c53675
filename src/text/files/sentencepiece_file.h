// A model file of SentencePiece (sentencepiece.bpe.model, spm.model, spiece.model): pieces and what is done to a text
// before it is cut. Source of the format: sentencepiece_model.proto
// (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/status.h"

namespace rerank::text {

struct SentencePiece {
  enum Type { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };
  std::string text;
  float score = 0;
  int type = kNormal;
};

struct SentencePieceFile {
  std::vector<SentencePiece> pieces;  // by id
  bool unigram = true;                // else another kind of model, such as BPE
  int64_t unknown_id = 0;
  std::string charsmap;  // precompiled normalization; empty: none
};

// Most pieces that a file may have: four times the largest vocabulary in use.
inline constexpr size_t kMaxPieces = 1u << 20;

// InvalidArgument naming `origin`: not such a file.
Result<SentencePieceFile> read_sentencepiece(std::string_view bytes, std::string_view origin);

}  // namespace rerank::text
