// Tokenizers of folders without a tokenizer.json: from vocab.txt (BERT and MPNet), sentencepiece.bpe.model
// (XLM-RoBERTa), spm.model (DeBERTa-v2) or spiece.model (ALBERT), with what tokenizer_config.json and its companions
// say. The tokenizer.json that `transformers` 5 builds from them is written, so that everything else is as with one.
#pragma once

#include <string>

#include "rerank/status.h"

namespace rerank::text {

struct BuiltTokenizer {
  std::string json;    // as tokenizer.json would be
  std::string origin;  // the file that it is made from
};

// Which of these files the folder has, whole path; empty: none.
std::string vocabulary_file(const std::string& folder);

// NotFound: no such file; Unimplemented: a class of tokenizer or a setting that cannot be built exactly;
// InvalidArgument naming file and field: broken files.
Result<BuiltTokenizer> build_tokenizer(const std::string& folder);

}  // namespace rerank::text
