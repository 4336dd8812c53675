// The verbs of engine/encoder.h on tiles (tiles.h says how they lie), for one group of sequences. Runs alone on the
// calling thread, or with a team when it is given one.
#pragma once

#include <span>
#include <vector>

#include "engine/cpu/shared_ops.h"
#include "engine/cpu/weights/tile_weights.h"
#include "engine/experts.h"

namespace rerank::engine::cpu {

class TileOps : public SharedOps {
 public:
  TileOps(const TileWeights& weights, const KernelTable& kernels, Team* team);

  static constexpr bool kTakesRuns = false;  // sequences begin at position 0
  void embed(const Batch& batch);
  void project(size_t layer, const Batch& batch, Rows rows);
  void attend(const Batch& batch, Rows rows);
  void select_rows(const Batch& batch, Rows rows);
  void add_attention(size_t layer);
  void norm_attention(size_t layer);
  void norm_feed_forward(size_t layer);
  void add_feed_forward(size_t layer);
  void add_convolution(const Batch& batch, Rows rows);
  void norm_final();
  void score(const Batch& batch, std::span<float> logits);
  void save_state(const Batch& batch, std::span<float> out);
  void load_state(const Batch& batch, std::span<const float> in);

 private:
  // Pieces of a product or of attention for each member of a team, so that a slower core takes fewer.
  static constexpr size_t kPiecesPerMember = 4;

  // Activations that a product reads: bf16 tiles; for int8 products quantized, each row between its ends (and 0).
  struct Inputs {
    Buffer<std::byte> bf16, int8;
    Buffer<RowRange> ranges;
    size_t tiles = 0;  // bf16 input tiles of a row tile
  };
  // The residual stream.
  struct State {
    size_t row_tiles = 0;  // even
    Buffer<float> c;
    Inputs inputs;
  };
  struct Step {  // a product over all rows of `inputs`
    const Inputs* inputs;
    size_t first_row_tile, row_tiles;
    const TilePanels* weights;
    size_t first_step, steps;  // of the weights; the inputs begin at first_step
    TileResult result;
    std::byte* out;  // of first_panel, row tile 0
    size_t out_panel_stride, out_row_stride;
    size_t first_panel = 0, last_panel = SIZE_MAX;
    float factor = 1;
    model::Activation activation = model::Activation::kGelu;  // of kInner
  };
  void place_rows(const Batch& batch);
  void resize(State& state, size_t row_tiles);
  void prepare(Inputs& inputs, size_t row_tiles, size_t tiles);
  void quantize_one(Inputs& inputs, size_t row_tile);
  void quantize(Inputs& inputs, size_t row_tiles);
  void product(const Step& step);
  void project_to(const TilePanels& weights, State& from, TileResult result, Buffer<std::byte>& out);
  void apply_rope(const Batch& batch, Rows rows);
  void rotate_tiles(size_t sequence, size_t head, const TileAngles& angles, bool queries);
  void rotate_values(size_t sequence, size_t length, size_t head, const std::vector<float>& angles, bool queries);
  void attend(const Batch& batch, Rows rows, size_t s, size_t head, TileAttention& job);
  void attend_one(size_t s, TileAttention job, const std::byte* queries, size_t query_stride);
  void norm(size_t first_row_tile, size_t row_tiles, const float* bias, const TileNormWeights* weights,
            bool keep = false);
  void add_bias(size_t first_row_tile, size_t row_tiles, const float* bias);
  struct FeedForwardPanels {
    const TilePanels &gate, &up, &down;
  };
  void add_products(const FeedForwardPanels& panels, const model::FeedForward& ff, State& state, size_t row,
                    size_t row_tiles);
  void read_input(size_t layer, size_t row, float* to);
  void add_experts(size_t layer);
  void run_expert(const TileExpert& expert, const model::FeedForward& ff, std::span<const ExpertShare> rows);
  void gather_scored_rows(const Batch& batch);
  float* c_row(State& state, size_t row) const;
  void load_row(const float* from, State& state, size_t row);
  void store_row(State& state, size_t row, float* to);
  size_t heads() const { return attention(0).heads; }
  size_t column_tiles() const { return weights_.hidden_columns / 16; }
  size_t head_tiles() const { return weights_.head_columns / kPanelColumns; }
  size_t head_panels() const { return head_tiles() * heads(); }
  bool sees_first() const { return attention_->mask == model::MaskKind::kWindowAndFirst; }

  const TileWeights& weights_;
  const TileKernels& tiles_;
  std::vector<size_t> starts_;       // first row tile of each sequence; one more: their end
  std::vector<uint32_t> real_rows_;  // of the stream, in order: those of tokens
  State state_, scored_;             // scored_: the rows that the head reads, after the last layer's project()
  Inputs context_, inner_;
  Buffer<std::byte> queries_, keys_, values_;
  Buffer<std::byte> global_queries_, global_keys_, global_values_;  // of a global first token; one query a sequence
  size_t global_row_tiles_ = 0;                                     // of the queries
  State expert_;                                                    // rows of one expert
  PaddedMatrix router_rows_, router_, mixed_;
  size_t query_row_tiles_ = 0;                       // of queries_ and context_
  PaddedMatrix rows_, means_;                        // of embeddings, and of the head's input
  std::vector<Buffer<std::byte>> position_scratch_;  // one per member
  const model::Attention* attention_ = nullptr;      // of the block that is being computed
  const TileLayer* layer_ = nullptr;
};

}  // namespace rerank::engine::cpu
