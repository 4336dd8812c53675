// config.json of a Hugging Face model folder -> the architecture, and what is said of serving it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "model/architecture.h"
#include "rerank/status.h"
#include "rerank/truncation.h"

namespace rerank::model {

struct Family;

// How the model's makers would have it served where the operator does not say: config.json's object "rerankd", which
// other libraries pass over: {"max_length": 256, "truncation": "query-aware"}, both optional; and what
// sentence-transformers keeps in the folder (model/files/serving.h). "From": file and field; empty: nothing said so.
struct ServingDefaults {
  size_t max_length = 0;  // tokens per pair; 0: the model's limit
  std::string max_length_from;
  Truncation truncation = Truncation::kHead;
  std::string prompt, prompt_from;          // what stands before each query; of decoders the instruction
  std::string activation, activation_from;  // PyTorch's class: what its makers' scores are made with
};

struct ModelConfig {
  std::string architecture_name;   // as in config.json, e.g. "BertForSequenceClassification"
  std::string model_type;          // as in config.json, e.g. "bert"
  const Family* family = nullptr;  // null: only an exported graph computes it
  Architecture architecture;
  int32_t pad_id = 0;  // token id of padding
  std::string label = "LABEL_0";
  bool labels_said = false;  // by config.json; else the weights tell how many there are
  ServingDefaults serving;

  size_t max_length() const { return architecture.max_length; }
  // Longest pair that is scored where the operator does not say.
  size_t served_length() const {
    if (serving.max_length != 0) return serving.max_length;
    const size_t advised = architecture.input.advised_length;
    return advised != 0 ? std::min(advised, max_length()) : max_length();
  }
};

// Reads and checks `folder`/config.json. Unimplemented for an architecture or setting we do not have, naming both it
// and what we do have; InvalidArgument for a broken file.
Result<ModelConfig> read_model_config(const std::string& folder);
Result<ModelConfig> parse_model_config(std::string json, std::string origin);

// The same for a folder with an exported graph, which needs no more than sizes of vocabulary, positions and labels: an
// architecture that we do not have has no family, and 0 where config.json says nothing.
Result<ModelConfig> read_graph_config(const std::string& folder);

}  // namespace rerank::model
