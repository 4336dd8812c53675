// Model folder and options -> what makes token ids of texts: its tokenizer, and for a decoder its prompt.
#pragma once

#include <memory>
#include <string>

#include "model/config.h"
#include "rerank/options/text.h"
#include "text/lists/list_encoder.h"
#include "text/pair_encoder.h"

namespace rerank::rank {

// Of a model that reads documents together (InputTemplate::Kind::kList) these are texts alone: open_lists() joins them.
// NotFound or InvalidArgument as of Tokenizer::from_folder; InvalidArgument when the model needs a prompt and none is
// known, or when options for prompts are given with a model that has none.
Result<std::shared_ptr<const text::PairEncoder>> open_texts(const std::string& folder, const model::ModelConfig& config,
                                                            const TextOptions& options);

// What makes sequences of the documents of a request; null: the model scores pairs.
Result<std::shared_ptr<const text::ListEncoder>> open_lists(const std::string& folder, const model::ModelConfig& config,
                                                            const TextOptions& options);

}  // namespace rerank::rank
