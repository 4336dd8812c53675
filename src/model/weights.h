// The tensors of an encoder by role instead of by name. Views into memory-mapped files that `Weights` keeps alive.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/safetensors.h"
#include "rerank/status.h"

namespace rerank {

struct Linear {       // y = x W^T + b
  TensorView weight;  // [out, in]
  TensorView bias;    // [out]
  size_t out() const { return weight.shape[0]; }
  size_t in() const { return weight.shape[1]; }
};

struct Norm {        // LayerNorm
  TensorView gamma;  // [width]
  TensorView beta;   // [width]
};

struct LayerWeights {
  Linear query, key, value, attention_output;
  Norm attention_norm;
  Linear up, down;
  Norm output_norm;
};

struct Weights {
  TensorView words;                    // [vocabulary, embedding]
  TensorView positions;                // [position_rows, embedding]
  std::optional<TensorView> segments;  // [segment_rows, embedding]
  Norm embedding_norm;
  std::optional<Linear> embedding_projection;  // embedding -> hidden, where they differ
  std::vector<LayerWeights> layers;
  Linear head_dense;   // hidden -> hidden, on the first token
  Linear head_output;  // hidden -> labels
  std::shared_ptr<const TensorFiles> files;

  bool quantized = false;  // some matrices are int8; the others are to be computed in higher precision

  uint64_t parameters() const;
};

// Takes every tensor that the architecture has, checks its shape, and refuses tensors that it does not know (a model
// that carries more than we compute would be scored wrongly). Heads of pre-training that transformers ignores too are
// skipped.
Result<Weights> bind_weights(const ModelConfig& config, std::shared_ptr<const TensorFiles> files);

// A model folder, read and checked.
struct Model {
  std::string folder;
  ModelConfig config;
  Weights weights;    // `weights.files` is null where there are none that we read, only an exported graph
  Status no_weights;  // why

  bool has_weights() const { return weights.files != nullptr; }
};

// A folder without weights, or of an architecture that we do not have, is taken if an exported graph (model/graphs.h)
// can serve it; `graph_named`: the user named one that may lie elsewhere.
Result<std::shared_ptr<const Model>> load_model(const std::string& folder, bool graph_named = false);

}  // namespace rerank
