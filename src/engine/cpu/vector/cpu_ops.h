// The verbs of engine/encoder.h on rows of fp32, for one group of sequences. Holds the activations of that group; the
// weights are shared. Runs alone on the calling thread, or with a team when it is given one.
#pragma once

#include <span>

#include "engine/cpu/kept_keys.h"
#include "engine/cpu/shared_ops.h"

namespace rerank::engine::cpu {

class CpuOps : public SharedOps {
 public:
  CpuOps(const CpuWeights& weights, const KernelTable& kernels, Team* team);

  // What the sequences of the batches to come stand after, one for each; empty: nothing. They outlive those batches.
  static constexpr bool kTakesRuns = true;
  void begin_runs(std::span<const Run> runs) { runs_ = runs; }
  // Of causal models: a group of more tokens goes through each block `rows` at a time, so that only the stream and one
  // block's keys and values are as long as it is.
  void limit_rows(size_t rows) { chunk_rows_ = rows; }

  void embed(const Batch& batch);
  void norm_attention(size_t layer);
  void project(size_t layer, const Batch& batch, Rows rows);
  void attend(const Batch& batch, Rows rows);
  void select_rows(const Batch& batch, Rows rows);
  void add_attention(size_t layer);
  void norm_feed_forward(size_t layer);
  void add_feed_forward(size_t layer);
  void add_convolution(const Batch& batch, Rows rows);
  void norm_final();
  bool compute_in_chunks(size_t layer, const Batch& batch, Rows rows);
  bool keys_in_chunks(size_t layer, const Batch& batch);
  void score(const Batch& batch, std::span<float> logits);
  void save_state(const Batch& batch, std::span<float> out);
  void load_state(const Batch& batch, std::span<const float> in);

 private:
  // Rows [begin, end) of a batch, all of one sequence.
  struct Part {
    size_t sequence, begin, end;
  };
  std::vector<Part> parts_of(const Batch& batch, size_t first, size_t count) const;

  void gather(const Batch& batch, const PaddedMatrix& from, PaddedMatrix& to) const;
  // Queries of the scored rows of `from`, one of each sequence.
  void project_scored(size_t layer, const Batch& batch, const PaddedMatrix& from);
  // Norms of heads, and rotations, of keys and, where they are wanted, of queries: of rows [first, first + count) of
  // the batch, which are the first of projected_.
  void finish_heads(size_t layer, const Batch& batch, size_t first, size_t count, bool queries);
  // The same rows of a chunk: projected, their keys and values kept in keys_.
  void project_chunk(size_t layer, const Batch& batch, size_t first, size_t count, bool queries);
  bool takes_chunks(size_t layer) const;
  void make_attention_room(const Batch& batch);
  // The context of such rows, or of the scored ones.
  void attend_parts(const Batch& batch, size_t first, size_t count, bool scored);
  void finish_row(const CpuNorm& norm, float* heads, size_t count, const float* angles);
  // All outputs of a layer over rows of `a`.
  LinearJob whole(const PackedLinear& weights, const PaddedMatrix& a, size_t a_row, size_t rows, PaddedMatrix& c,
                  size_t c_row) const;
  // Rows [first, first + count) of stream += what the chosen experts give of the first rows of `input`; the same of a
  // feed-forward without experts.
  void add_experts(size_t layer, const PaddedMatrix& input, size_t first, size_t count);
  void add_feed_forward(size_t layer, const PaddedMatrix& input, size_t first, size_t count);
  // Attention of a window with a global first token: that token, and the others.
  void attend_globally(const Batch& batch, Rows rows);
  void feed_forward_rows(size_t layer, const PaddedMatrix& input, size_t row, size_t stream_row, size_t rows);
  // stream rows += job's product, after its norm where there is one.
  void add_sum(LinearJob job, const CpuNorm& norm);
  size_t query_width() const { return attention_->heads * attention_->head_size; }
  // The position of the first token of sequence `s` of a batch.
  size_t start_of(size_t s) const {
    return runs_.empty() || runs_[s].before == nullptr ? 0 : tokens_of(*runs_[s].before);
  }
  void keep_keys(size_t layer, const Batch& batch, size_t first, size_t count);
  // Keys of a head of sequence `s`: those before it, then its own.
  void pieces_of(size_t s, size_t key_head, const KeyRows& own, std::vector<KeyRows>& pieces) const;
  size_t key_width() const { return attention_->kv_heads * attention_->head_size; }

  const CpuWeights& weights_;
  size_t rows_ = 0;  // of stream_, context_ and what products read
  PaddedMatrix stream_, normed_;
  const PaddedMatrix* input_ = &stream_;       // what products read: stream_, or normed_ in pre-norm blocks
  PaddedMatrix scored_stream_, scored_input_;  // the scored rows of them; scored_input_ of pre-norm blocks only
  PaddedMatrix projected_, scored_queries_, context_, gate_, inner_, sum_;
  PaddedMatrix keys_;       // and values of all rows, where a block is computed in chunks
  bool in_chunks_ = false;  // keys and values are in keys_, not in projected_
  size_t chunk_rows_ = SIZE_MAX;
  PaddedMatrix router_, expert_rows_, mixed_;               // of experts
  PaddedMatrix global_queries_, global_keys_, first_rows_;  // of a global first token
  std::span<const Run> runs_;
  size_t layer_ = 0;                                 // the block that is being computed
  const model::Attention* attention_ = nullptr;      // of the block that is being computed
  std::vector<Buffer<std::byte>> position_scratch_;  // one per member
};

}  // namespace rerank::engine::cpu
