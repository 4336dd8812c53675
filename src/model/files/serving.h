// What sentence-transformers keeps in a folder of how a model is to be served: the longest pair, a prompt that stands
// before queries, and the function that makes scores of logits.
#pragma once

#include <string>

#include "model/config.h"

namespace rerank::model {

// Fills in config.serving, as far as config.json's object "rerankd" has not said it. Reads config.json
// (`sentence_transformers.activation_fn`, `sbert_ce_default_activation_function`), config_sentence_transformers.json
// (`activation_fn`, `prompts`, `default_prompt_name`) and sentence_bert_config.json (`max_seq_length`), where they are.
// InvalidArgument, naming file and field, for what is not of its kind.
Status read_sentence_transformers(const std::string& folder, ModelConfig& config);

}  // namespace rerank::model
