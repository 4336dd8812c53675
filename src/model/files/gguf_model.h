// GGUF files of models that we have: their tensors under the names that Hugging Face folders have, and what config.json
// says of them. Decoders (qwen3, qwen2, llama, gemma, gemma2) and encoders (bert as XLM-RoBERTa's and RoBERTa's files
// are, modern-bert); others are refused by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/config.h"
#include "model/safetensors.h"

namespace rerank::model {

// The file that `folder` is (a path that ends in .gguf), or has, where no other weights are there; empty: none.
// InvalidArgument where there are several, naming them: the user names one.
Result<std::string> find_gguf(const std::string& folder);

// Where the companions of a model are: its folder, or that in which the GGUF file lies.
std::string companions_of(const std::string& folder);

// As add_torch_tensors(). Types that nothing here reads go into `others`.
Status add_gguf_tensors(const MappedFile& file, std::map<std::string, TensorView>& tensors,
                        std::vector<std::vector<std::byte>>& owned, std::map<std::string, std::string>& others);

// What config.json would say, from the file's keys and the shapes of its tensors. Unimplemented for an architecture or
// a setting that we do not have, or a file that lacks what scores are made with, naming it.
Result<std::string> gguf_config_json(const std::string& path);

// The numbers of a decoder's answers, where the file has their tokens.
Status find_gguf_answers(const std::string& path, ModelConfig& config);

}  // namespace rerank::model
