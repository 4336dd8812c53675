// The weights in the CPU engine's own form: matrices packed into panels, vectors in fp32. The word table stays where it
// is, memory-mapped in the file's own type, since a batch reads only a few of its rows.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/team.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/cpu/weights/weight_store.h"
#include "model/weights.h"

namespace rerank::engine::cpu {

// Who packs, and where to.
struct Packing {
  Team& team;
  WeightStore& store;
};

// One or more linear layers over the same input, side by side: their outputs follow one another.
class PackedLinear {
 public:
  PackedLinear() = default;
  PackedLinear(const ProductKernels& kernels, const Packing& packing,
               std::initializer_list<const model::Linear*> parts);

  const PackedMatrix& matrix() const { return matrix_; }
  const ProductKernels& product() const { return *product_; }  // what it was packed for
  size_t panels() const { return panel_count_; }

 private:
  Buffer<float> bias_;
  PackedMatrix matrix_;
  size_t panel_count_ = 0;
  const ProductKernels* product_ = nullptr;
};

// Gives back the memory of a mapped tensor that has been packed: it would count as this process's for nothing. Reading
// it again is allowed, and brings it back from the file.
void release_pages(const model::TensorView& tensor);

struct CpuNorm {
  CpuNorm() = default;
  explicit CpuNorm(const model::Norm& norm) : gamma(norm.gamma.floats()), beta(norm.beta_floats()) {}
  explicit CpuNorm(const std::optional<model::Norm>& norm) {
    if (norm) *this = CpuNorm(*norm);
  }
  bool empty() const { return gamma.empty(); }
  std::vector<float> gamma, beta;  // empty: there is no such norm
};

// Projections of relative positions by distance, of all heads.
struct PackedPositions {
  const std::byte* panels = nullptr;  // null: there are none
  size_t head_bytes = 0;
};

struct CpuExpert {
  PackedLinear gate, up, down;  // gate: no panels where there is none
};

struct CpuLayer {
  PackedLinear query_key_value, attention_output, gate, up, down;  // gate: no panels where there is none
  PackedLinear scored_query;  // no panels where the queries of the scored rows need no other precision
  CpuNorm attention_norm, output_norm, query_norm, key_norm, attention_sum_norm, output_sum_norm;
  PackedPositions position_keys, position_queries;
  PackedLinear router = {};  // fp32; no panels where there are no experts
  std::vector<CpuExpert> experts = {};
  std::vector<float> experts_bias = {};                   // empty: none
  PackedLinear global_query = {}, global_key_value = {};  // of a window with a global first token
};

// What every tier keeps in fp32: tables, their norm, and the head.
struct SharedWeights {
  SharedWeights(std::shared_ptr<const model::Model> model, const KernelTable& kernels, const Packing& packing);

  std::shared_ptr<const model::Model> model;         // keeps the mapped word table alive
  std::vector<float> positions, segments;            // empty: there is no such table
  std::map<model::Rope, std::vector<float>> angles;  // rope_table() of every position
  // Of bucketed distances: what each head adds, by the key's position minus the query's, times log2(e). Distance 0 is
  // number max_length - 1.
  std::vector<std::vector<float>> distance_bias;
  CpuNorm embedding_norm, final_norm, head_norm;
  PackedLinear projection;               // no panels where the tables are as wide as the encoder
  PackedLinear head_dense, head_output;  // head_dense: no panels where the head has no such layer
  std::vector<PackedLinear> outputs;     // of scoring.first_output
  PackedLinear convolution;              // [hidden, width x hidden]; no panels where there is none
  CpuNorm convolution_norm;
};

struct CpuWeights : SharedWeights {
  // What a file of --weight-cache must have been written for: raised where other matrices, or in another order, go into
  // the store. Then the layout of one.
  static constexpr int kOrder = 1, kLayout = kPanelLayout;

  CpuWeights(std::shared_ptr<const model::Model> model, const KernelTable& kernels, const Packing& packing);

  // Blocks that have the same tensors are packed once.
  const CpuLayer& layer(size_t block) const { return *layers[block]; }

  size_t position_half = 0;  // PositionPanels::half

 private:
  PackedPositions pack_positions(const KernelTable& kernels, const Packing& packing, const model::Linear& projection,
                                 size_t block, bool of_queries) const;
  std::vector<float> positions_table_;  // while the weights are packed
  std::vector<std::shared_ptr<const CpuLayer>> layers;
};

}  // namespace rerank::engine::cpu
