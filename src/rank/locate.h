// --model -> a folder on disk and the name it is served under.
#pragma once

#include <string>

#include "rerank/options.h"
#include "rerank/status.h"

namespace rerank::rank {

struct LocatedModel {
  std::string folder;
  std::string name;  // contains "rerank", which RAGFlow's model discovery looks for
};

// A folder as it is; a hub id from the local cache or the hub; nothing: the built-in model.
Result<LocatedModel> locate_model(const Options& options);

// The name under which the model will be served; nothing is looked up.
std::string name_of(const SourceOptions& source);

// The name clients see for a model folder or hub id: its last part, with "-reranker" after it unless it says "rerank".
std::string served_name(const std::string& model);

}  // namespace rerank::rank
