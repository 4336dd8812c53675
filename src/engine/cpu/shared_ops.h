// What the verbs of every CPU tier share: sharing out work over a team, linear layers on rows of fp32, rows of the
// embedding tables, and the head.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/cpu/weights/cpu_weights.h"
#include "engine/encoder.h"

namespace rerank::cpu {

class SharedOps {
 protected:
  // `team` null: alone. All three must outlive this object.
  SharedOps(const SharedWeights& weights, const KernelTable& kernels, Team* team);

  // A linear layer over `rows` rows of `a`; c may be the residual. `first`..`last`: which panels.
  struct LinearJob {
    const ProductKernels* product;
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
  // LayerNorm of words + positions + segments, [tokens, config().embedding].
  void embed_rows(const Batch& batch, PaddedMatrix& out);
  void embed_row(const Batch& batch, size_t token, size_t position, float* out) const;  // before the norm
  // Logits of rows [0, rows) of `hidden`.
  void head_of(const PaddedMatrix& hidden, size_t rows, std::span<float> logits);

  template <class Body>
  void each(size_t tasks, const Body& body) {  // body(task, member)
    if (team_ != nullptr) {
      team_->run(tasks, body);
    } else {
      for (size_t task = 0; task < tasks; ++task) body(task, 0);
    }
  }
  size_t members() const { return scratch_.size(); }
  const ModelConfig& config() const { return shared_.model->config; }
  size_t columns() const { return kernels_.linear.tile_columns; }

  const KernelTable& kernels_;
  std::vector<Buffer<std::byte>> scratch_;  // of the kernels, one per member

 private:
  ActivationFunction* function_of(Activation activation) const;

  const SharedWeights& shared_;
  Team* team_;
  PaddedMatrix dense_, outputs_;
};

}  // namespace rerank::cpu
