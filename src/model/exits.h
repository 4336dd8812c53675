// Exit heads: what reads the final logit off the state after an earlier layer. Fitted by `rerankd calibrate` to a
// model and to its user's texts, kept in one file, exits.json, beside nothing: the model's folder is not touched.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/weights.h"
#include "rerank/status.h"

namespace rerank::model {

// logit = weights . pooled states + bias, of what engine/depth/pooling.h makes of a pair's tokens
struct ExitHead {
  std::vector<float> weights;  // [exit_width()]
  float bias = 0;
  float error = 0;  // standard error of its guesses, on texts that it was not fitted to; 0: not known

  float apply(const float* pooled) const;
};

// First token, query, document.
inline size_t exit_width(const Architecture& architecture) { return 3 * architecture.hidden; }

struct Exits {
  std::string model;            // name, for messages
  std::string weights_digest;   // of the model they were fitted to
  std::vector<ExitHead> heads;  // heads[n]: after layer n + 1; one less than the model has layers
  // How far below the best ones a guess must be for its document to be dropped, in errors of its exit, so that this
  // share of the first five stays the same; rising. Empty: fitted before there were targets.
  struct Target {
    double agreement = 0, margin = 0;
  };
  std::vector<Target> targets;

  // The margin of the least target that promises `agreement`: InvalidArgument, naming those there are, when none does.
  Result<double> margin_for(double agreement) const;
};

// Hash of a model's weights and configuration.
std::string weights_digest(const Model& model);

// Reads `folder`/exits.json (or the file itself) and checks that it belongs to the model: InvalidArgument naming the
// file when it does not, or when it is broken.
Result<Exits> read_exits(const std::string& path, const Model& model);

// Writes `folder`/exits.json.
Status write_exits(const std::string& folder, const Exits& exits);

}  // namespace rerank::model
