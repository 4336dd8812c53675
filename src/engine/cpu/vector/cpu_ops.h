// The verbs of engine/encoder.h on rows of fp32, for one group of sequences. Holds the activations of that group; the
// weights are shared. Runs alone on the calling thread, or with a team when it is given one.
#pragma once

#include <span>

#include "engine/cpu/shared_ops.h"

namespace rerank::cpu {

class CpuOps : public SharedOps {
 public:
  CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team);

  void embed(const Batch& batch);
  void project(size_t layer, const Batch& batch, Rows rows);
  void attend(const Batch& batch, Rows rows);
  void keep(const Batch& batch, Rows rows);
  void attention_output(size_t layer);
  void feed_forward(size_t layer);
  void head(std::span<float> logits);
  void suspend(const Batch& batch, std::span<float> out);
  void resume(const Batch& batch, std::span<const float> in);

 private:
  void turn(const Batch& batch, Rows rows, const std::vector<float>& turns);

  const CpuWeights& weights_;
  size_t rows_ = 0;  // of hidden_ and context_
  PaddedMatrix hidden_, other_hidden_, projected_, first_queries_, context_, inner_;
  AttentionPattern pattern_;  // of the layer that is being computed
};

}  // namespace rerank::cpu
