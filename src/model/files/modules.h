// Folders of sentence-transformers (5.4 and later) whose head stands in modules of its own: modules.json lists them,
// and each has a folder with config.json and model.safetensors. What is read: Transformer (the folder itself, an
// encoder), Pooling (cls, mean), then Dense, LayerNorm and Dense, of which the first two may be missing.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/families/family.h"

namespace rerank::model {

struct Module {
  std::string type;  // "Dense": the last part of its class
  std::string path;  // its folder's name; empty: the folder itself
};

// Empty where there is no modules.json. InvalidArgument: it is broken, or names something outside of the folder.
Result<std::vector<Module>> read_modules(const std::string& folder);

// What the modules say of pooling and the head, instead of what config.json's family says. Unimplemented: a module, or
// a setting of one, that is not computed.
Status apply_modules(const std::string& folder, ModelConfig& config);

// The head's tensors are "<module's folder>/linear.weight" and so on where a folder has modules; an encoder that is
// saved by itself lacks the first part of its tensors' names. Changes the names to those that the files have.
void take_names_of_files(const TensorFiles& files, TensorNames& names);

}  // namespace rerank::model
