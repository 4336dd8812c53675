// The weights of the layers as the tile kernels read them. Widths are padded: hidden and inner to 32 columns, and each
// head to 32 of its own, so that a panel of queries, keys or values belongs to one head.
#pragma once

#include <memory>
#include <vector>

#include "engine/cpu/weights/cpu_weights.h"

namespace rerank::engine::cpu {

// `groups` runs of `width` values, each with room for `padded`.
struct Widths {
  size_t groups, width, padded;
  size_t total() const { return groups * padded; }
};

class TileLinear {
 public:
  TileLinear() = default;
  TileLinear(const TileKernels& kernels, const Packing& packing, const model::Linear& from, const Widths& out,
             const Widths& in);

  const TilePanels& panels() const { return panels_; }

 private:
  Buffer<float> bias_;
  TilePanels panels_;
};

struct TileNormWeights {
  TileNormWeights() = default;
  TileNormWeights(const model::Norm& norm, size_t padded);
  // Empty where there is no norm.
  TileNormWeights(const std::optional<model::Norm>& norm, size_t padded);
  Buffer<float> gamma, beta;
};

struct TileExpert {
  TileLinear gate, up, down;  // gate: no panels where there is none
};

struct TileLayer {
  TileLinear query, key, value, attention_output, gate, up, down;  // gate: no panels where there is none
  TileNormWeights attention_norm, output_norm;
  const std::byte *position_keys = nullptr, *position_queries = nullptr;  // as TileAttention has them, of all heads
  PackedLinear router = {};                                               // fp32; no panels where there are no experts
  std::vector<TileExpert> experts = {};
  std::vector<float> experts_bias = {};                              // empty: none
  TileLinear global_query = {}, global_key = {}, global_value = {};  // of a window with a global first token
};

// The angles of RoPE where tiles want them: for each tile of 16 positions and each 32 of the first half of a head, 512
// cosines and 512 sines in the order of a tile of queries, then of keys. Empty where a head's halves are not whole
// tiles.
struct TileAngles {
  TileAngles() = default;
  TileAngles(const std::vector<float>& angles, size_t head_size);

  size_t panels = 0;  // of half a head
  Buffer<float> values;
  static constexpr size_t kLayoutFloats = 1024;
  const float* at(size_t position_tile, size_t panel, bool keys) const {
    return values.data() + ((position_tile * panels + panel) * 2 + keys) * kLayoutFloats;
  }
};

struct TileWeights : SharedWeights {
  static constexpr int kOrder = 1, kLayout = kTileLayout;  // as CpuWeights's; the head's panels are kPanelLayout's

  TileWeights(std::shared_ptr<const model::Model> model, const KernelTable& kernels, const Packing& packing);

  size_t hidden_columns = 0, head_columns = 0, inner_columns = 0;  // padded
  TileNormWeights tile_embedding_norm;  // null pointers where the tables are narrower than the encoder
  TileNormWeights tile_final_norm, tile_convolution_norm;
  std::map<model::Rope, TileAngles> tile_angles;
  // Blocks that have the same tensors are packed once.
  const TileLayer& layer(size_t block) const { return *layers[block]; }

  size_t position_half = 0;           // TileAttention::position_half
  std::vector<float> tile_distances;  // [heads][distance_stride], in units of scores; empty: none
  size_t distance_stride = 0;

 private:
  bool is_for_scored_rows(size_t block) const;
  std::shared_ptr<const TileLayer> pack_layer(const KernelTable& table, const Packing& packing,
                                              const std::vector<float>& positions_table, size_t block) const;
  const std::byte* pack_positions(const Packing& packing, const std::vector<float>& table,
                                  const model::Linear& projection, size_t block, bool of_queries) const;
  std::vector<std::shared_ptr<const TileLayer>> layers;
};

}  // namespace rerank::engine::cpu
