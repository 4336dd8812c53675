// The tokenizer inside a GGUF file, as the tokenizer.json that it was made from, where that can be told exactly: Qwen's
// byte-level BPE (tokenizer.ggml.pre "qwen2") and XLM-RoBERTa's unigram (tokenizer.ggml.model "t5" of a BERT file).
#pragma once

#include <string>

#include "rerank/status.h"

namespace rerank::text {

// Unimplemented for another tokenizer, saying to put tokenizer.json beside the file; InvalidArgument for a broken file.
Result<std::string> gguf_tokenizer_json(const std::string& path);

// The GGUF file that `folder` is, or the one that it has; empty: none, or several.
std::string gguf_of(const std::string& folder);

}  // namespace rerank::text
