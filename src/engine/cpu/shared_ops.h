// What the verbs of every CPU tier share: sharing out work over a team, linear layers on rows of fp32, rows of the
// embedding tables, and the head.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "engine/cpu/weights/cpu_weights.h"
#include "engine/encoder.h"

namespace rerank::engine::cpu {

class SharedOps {
 public:
  void choose_output(size_t layers) {
    const size_t first = architecture().scoring.first_output;
    output_ = first != 0 && layers >= first ? &shared_.outputs[layers - first] : &shared_.head_output;
  }
  // Once it is true what is left of a verb is passed over: its results mean nothing then. null: never.
  void watch(const std::atomic<bool>* stop) { stop_ = stop; }
  BlockOrder order(size_t layer) const {
    const model::Block& block = architecture().blocks[layer];
    return {block.placement == model::NormPlacement::kPre, block.attention_norm,
            layer == 0 && architecture().convolution.has_value()};
  }

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
    const model::Activation* activation = nullptr;
    const PaddedMatrix* factor = nullptr;  // laid out like c: multiplies the activated result
  };
  void run(const LinearJob& job);
  // Of `count` vectors, `apart` values from one to the next.
  void norm_in_place(float* x, size_t count, size_t apart, const CpuNorm& norm) const;
  void norm_rows(PaddedMatrix& matrix, size_t first, size_t rows, const CpuNorm& norm);
  // The same into the first rows of another matrix.
  void norm_rows(const PaddedMatrix& from, size_t first, size_t rows, const CpuNorm& norm, PaddedMatrix& to);
  // norm(words + positions + segments), [tokens, width of the tables].
  void embed_rows(const Batch& batch, PaddedMatrix& out);
  void embed_row(const Batch& batch, size_t token, size_t position, float* out) const;  // before the norm
  // to [sequences, width of the stream] = the mean of each sequence's rows; row(s, i) is that of its token i,
  // contiguous.
  template <class RowOf>
  void mean_rows(const Batch& batch, const RowOf& row, PaddedMatrix& to) {
    const size_t hidden = architecture().hidden;
    to.resize(batch.size(), hidden, columns());
    each(batch.size(), [&](size_t s, size_t) {
      float* mean = to.row(s);
      std::fill_n(mean, hidden, 0.0f);
      for (size_t i = 0; i < batch.length(s); ++i) {
        const float* from = row(s, i);
        for (size_t c = 0; c < hidden; ++c) mean[c] += from[c];
      }
      const float share = 1 / static_cast<float>(batch.length(s));
      for (size_t c = 0; c < hidden; ++c) mean[c] *= share;
    });
  }
  // What a convolution reads later: row(t) is token t's embedding, contiguous.
  template <class RowOf>
  void keep_embedded(size_t tokens, const RowOf& row) {
    embedded_.resize(tokens, architecture().hidden, columns());
    for (size_t t = 0; t < tokens; ++t) std::copy_n(row(t), architecture().hidden, embedded_.row(t));
  }
  // activation(convolution of the embedding's rows), of all tokens or of one of each sequence.
  const PaddedMatrix& convolve(const Batch& batch, Rows rows);
  // Logits of rows [0, rows) of `scored`.
  void head_of(const PaddedMatrix& scored, size_t rows, std::span<float> logits);
  // The vectors of the marked tokens of `all` [tokens].
  void marked_vectors(const Batch& batch, const PaddedMatrix& all, std::span<float> vectors);
  // The mean of the logits of each sequence's rows, of `scored` [tokens].
  void mean_logits(const Batch& batch, const PaddedMatrix& scored, std::span<float> logits);

  template <class Body>
  void each(size_t tasks, const Body& body) {  // body(task, member)
    const auto wanted = [&](size_t task, size_t member) {
      if (stop_ == nullptr || !stop_->load(std::memory_order_relaxed)) body(task, member);
    };
    if (team_ != nullptr) {
      team_->run(tasks, wanted);
    } else {
      for (size_t task = 0; task < tasks; ++task) wanted(task, 0);
    }
  }
  size_t members() const { return scratch_.size(); }
  const model::Architecture& architecture() const { return shared_.model->architecture(); }
  const model::Attention& attention(size_t layer) const { return architecture().blocks[layer].attention; }
  const model::FeedForward& feed_forward(size_t layer) const { return architecture().blocks[layer].feed_forward; }
  size_t columns() const { return kernels_.linear.tile_columns; }

  const KernelTable& kernels_;
  std::vector<Buffer<std::byte>> scratch_;  // of the kernels, one per member

 private:
  ActivationFunction* function_of(model::Activation activation) const;

  const SharedWeights& shared_;
  Team* team_;
  const std::atomic<bool>* stop_ = nullptr;
  const PackedLinear* output_;  // of the pass that is being computed
  const PaddedMatrix& outputs_of(const PaddedMatrix& scored, size_t rows);

  PaddedMatrix dense_, outputs_, marked_;
  PaddedMatrix embedded_, around_, convolved_;  // of a convolution
};

}  // namespace rerank::engine::cpu
