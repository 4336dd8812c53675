// The tensors of a model by role instead of by name. Views into memory-mapped files that `Weights` keeps alive.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/safetensors.h"
#include "rerank/status.h"

namespace rerank::model {

struct Linear {                    // y = x W^T + b
  TensorView weight;               // [out, in]
  std::optional<TensorView> bias;  // [out]
  size_t out() const { return weight.shape[0]; }
  size_t in() const { return weight.shape[1]; }
  // [out]; zeros where there is no bias.
  std::vector<float> bias_floats() const;
};

struct Norm {
  TensorView gamma;                        // [width]
  std::optional<TensorView> beta;          // [width]
  std::vector<float> beta_floats() const;  // zeros where there is none
};

struct ExpertWeights {
  std::optional<Linear> gate;
  Linear up, down;
};

struct LayerWeights {
  Linear query, key, value, attention_output;
  std::optional<Norm> query_norm, key_norm;  // [head size], of each head
  std::optional<Norm> attention_norm;        // none: the block's attention reads the stream as it is
  std::optional<Linear> gate;                // of gated feed-forwards: what is activated
  Linear up, down;                           // of experts: empty
  std::optional<Linear> router;              // [experts, hidden]
  std::vector<ExpertWeights> experts;
  std::optional<TensorView> experts_bias;  // [hidden]
  // Of a window with a global first token: what projects its queries, and the keys and values that they see.
  std::optional<Linear> global_query, global_key, global_value;
  Norm output_norm;  // of the feed-forward: after it, or before it, as the block's placement says
  // Of disentangled attention: what projects the table of relative positions, the same as `key` and `query` where the
  // block has no other.
  std::optional<Linear> position_key, position_query;
  std::optional<Norm> attention_sum_norm, output_sum_norm;  // of what is added to the stream
};

// One tensor of the files that the model uses, whole.
struct UsedTensor {
  TensorView view;
  size_t layer = SIZE_MAX;    // the block it belongs to; SIZE_MAX: none
  bool block_matrix = false;  // of a linear layer of a block: what int8 quantizes
};

struct Weights {
  TensorView words;                     // [vocabulary, embedding width]
  std::optional<TensorView> positions;  // [position_rows, embedding width]
  std::optional<TensorView> segments;   // [segment_rows, embedding width]
  std::optional<Norm> embedding_norm;
  std::optional<Linear> embedding_projection;  // embedding width -> hidden, where they differ
  // [relative.rows, hidden] of disentangled attention, or [relative.rows, heads] of buckets; and its norm.
  std::optional<TensorView> relative;
  std::optional<Norm> relative_norm;
  std::optional<TensorView> convolution;  // [hidden, hidden, convolution's width]
  std::optional<TensorView> convolution_bias;
  std::optional<Norm> convolution_norm;
  std::vector<LayerWeights> layers;
  std::optional<Norm> final_norm;
  std::optional<Linear> head_dense;  // hidden -> hidden, on the rows that are scored
  std::optional<Norm> head_norm;
  Linear head_output;            // hidden -> labels
  std::vector<Linear> outputs;   // of each block from scoring.first_output on; the last is head_output
  std::vector<UsedTensor> used;  // in the order of computing; each tensor once
  std::shared_ptr<const TensorFiles> files;
  std::vector<std::shared_ptr<const std::vector<float>>> made;  // what views see that is in no file
  std::shared_ptr<const std::vector<float>> answer_rows;        // what head_output views, where it is made of answers

  bool quantized = false;  // some matrices are int8; the others are to be computed in higher precision
  bool int4 = false;       // some matrices are of 4 bits with scales

  // The first block that has the same tensors (ALBERT's all have): what engines pack once.
  size_t first_with_tensors_of(size_t layer) const;
  // The convolution as a linear layer over rows side by side, the first one first: [hidden, width x hidden].
  std::vector<float> convolution_matrix() const;
  uint64_t parameters() const;
};

// The views carry what the architecture calls bound. Of answers, `head_output` is one row, the difference of the two
// (with a softcap: both rows), in fp32.
//
// Takes every tensor that the architecture has, checks its shape, and refuses tensors that it does not know (a model
// that carries more than we compute would be scored wrongly). What transformers passes over too is skipped: heads of
// pre-training, tables of position numbers.
Result<Weights> bind_weights(const ModelConfig& config, std::shared_ptr<const TensorFiles> files);

// The tensors that bind_weights() would take of files that name them as the family's models do: what a model of this
// configuration weighs, without its files.
struct WantedTensor {
  std::string name;
  std::vector<size_t> shape;
  size_t layer = SIZE_MAX;
  bool block_matrix = false;  // as of UsedTensor
  uint64_t elements() const;
};
std::vector<WantedTensor> wanted_tensors(const ModelConfig& config);

// A model folder, read and checked.
struct Model {
  std::string folder;
  ModelConfig config;
  Weights weights;    // `weights.files` is null where there are none that we read, only an exported graph
  Status no_weights;  // why

  bool has_weights() const { return weights.files != nullptr; }
  const Architecture& architecture() const { return config.architecture; }
};

// A folder without weights, or of an architecture that we do not have, is taken if an exported graph (model/graphs.h)
// can serve it; `graph_named`: the user named one that may lie elsewhere.
Result<std::shared_ptr<const Model>> load_model(const std::string& folder, bool graph_named = false);

}  // namespace rerank::model
