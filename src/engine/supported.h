// What of model/architecture.h an engine computes. The rest is refused by name when a model is opened.
#pragma once

#include <string>
#include <string_view>

#include "model/architecture.h"

namespace rerank::engine {

// Parts beside those that every engine has: post-norm blocks with LayerNorm, biases, absolute positions, full attention
// of equal heads, ungated feed-forwards, a head on the first token.
struct EngineFeatures {
  bool pre_norm = false;  // also a final norm and norms without beta
  bool gated = false;     // gated feed-forwards
  bool rope = false;
  bool alibi = false;
  bool window = false;
  bool mean_rows = false;  // a head that reads the mean of all rows
  bool last_row = false;   // ... or the last
  bool head_norm = false;  // a norm in the head
  // Of Llama's blocks: RMS norms, none of the embedding, grouped heads of any size, a head of one linear layer.
  bool llama_blocks = false;
  bool decoder = false;         // causal masks, norms of queries and keys
  bool softcap = false;         // of attention's scores and of the logit; scores of another scale
  bool sum_norms = false;       // norms of what a block adds
  bool mean_of_logits = false;  // a head that reads each row, and the mean of its logits
  bool disentangled = false;    // disentangled attention
  bool buckets = false;         // a bias of scores by bucketed distance
  bool convolution = false;
  bool experts = false;
  bool first_token = false;  // windows with a global first token
  bool outputs = false;      // an output after each block
  bool marked_rows = false;  // a head that makes vectors of marked tokens
};

// What the reference computes, and other engines all or less of.
inline constexpr EngineFeatures kAllFeatures = {.pre_norm = true,
                                                .gated = true,
                                                .rope = true,
                                                .alibi = true,
                                                .window = true,
                                                .mean_rows = true,
                                                .last_row = true,
                                                .head_norm = true,
                                                .llama_blocks = true,
                                                .decoder = true,
                                                .softcap = true,
                                                .sum_norms = true,
                                                .mean_of_logits = true,
                                                .disentangled = true,
                                                .buckets = true,
                                                .convolution = true,
                                                .experts = true,
                                                .first_token = true,
                                                .outputs = true,
                                                .marked_rows = true};

// The same, of engines that compute one logit for each sequence.
inline constexpr EngineFeatures kPairFeatures = [] {
  EngineFeatures features = kAllFeatures;
  features.marked_rows = false;
  return features;
}();

// Every part of the architecture that `features` lacks, by name, e.g. "grouped heads (2 of 8), a softcap"; empty: none.
std::string uncomputed_parts(const model::Architecture& architecture, const EngineFeatures& features);

}  // namespace rerank::engine
