// The verbs of engine/encoder.h on the CPU, for one group of sequences. Holds the activations of that group; the
// weights are shared. Runs alone on the calling thread, or with a team when it is given one.
#pragma once

#include <span>
#include <vector>

#include "engine/cpu/cpu_weights.h"
#include "engine/encoder.h"

namespace rerank::cpu {

class CpuOps {
 public:
  // `team` null: alone. All three must outlive this object.
  CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team);

  void embed(const Batch& batch);
  void project(size_t layer, const Batch& batch, Rows rows);
  void attend(const Batch& batch, Rows rows);
  void keep(const Batch& batch, Rows rows);
  void attention_output(size_t layer);
  void feed_forward(size_t layer);
  void head(std::span<float> logits);
  void states(const Batch& batch, Rows rows, std::span<float> out) const;

 private:
  // A linear layer over `rows` rows of `a`; c may be the residual. `first`..`last`: which panels.
  struct LinearJob {
    const PackedLinear* weights;
    const PaddedMatrix* a;
    size_t a_row, rows;
    PaddedMatrix* c;
    size_t c_row;
    size_t first_panel, last_panel;
    bool add_to_c = false;
    const Activation* activation = nullptr;
  };
  void run(const LinearJob& job);
  void norm_rows(PaddedMatrix& matrix, size_t first, size_t rows, const CpuNorm& norm);
  void activate(Activation activation, float* x, size_t n) const;
  void embed_row(const Batch& batch, size_t token, size_t position, float* out) const;
  template <class Body>
  void each(size_t tasks, const Body& body);  // body(task, member)

  const ModelConfig& config() const { return weights_.model->config; }

  const CpuWeights& weights_;
  const KernelTable& kernels_;
  Team* team_;
  size_t rows_ = 0;  // of hidden_ and context_
  PaddedMatrix hidden_, other_hidden_, projected_, first_queries_, context_, inner_, dense_;
  std::vector<Buffer<std::byte>> scratch_;  // of the kernels, one per member
};

}  // namespace rerank::cpu
