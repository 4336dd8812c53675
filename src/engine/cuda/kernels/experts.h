// Feed-forwards of experts. Each row goes through the few experts that its router's outputs choose; rows that chose one
// expert lie together, and one launch multiplies all experts' rows with their own weights. How many rows an expert has
// is known on the device alone: launches are for the most tiles that there may be, and those without rows end at once.
#pragma once

#include <algorithm>

#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

inline constexpr uint32_t kExpertTile = 64;  // places of rows: an expert's begin with a tile
inline constexpr uint32_t kNone = ~uint32_t{0};

// Tiles that rows x chosen choices may fill, each expert's last one in part.
inline uint32_t expert_tiles(uint32_t rows, uint32_t chosen, uint32_t experts) {
  const size_t choices = size_t{rows} * chosen;
  return static_cast<uint32_t>(choices / kExpertTile + std::min<size_t>(choices, experts));
}

struct Choices {                          // of `rows` rows, [rows][chosen], and where they lie
  uint32_t rows, experts, chosen, tiles;  // tiles: expert_tiles()
  bool normalized;
  uint32_t* expert;  // rising numbers of each row
  float* share;
  uint32_t* place;
  uint32_t* count;      // [experts]
  uint32_t* row_at;     // [tiles x kExpertTile]: the row, or kNone
  uint32_t* expert_at;  // [tiles]: the expert, or kNone
};

// Fills all of them, from the router's outputs [rows, experts].
void choose_experts(const float* scores, const Choices& choices, cudaStream_t stream);

// y [places, out] = x W^T of each tile's expert, W [experts][out][in], or of it act(), where `activated`. x: rows
// [rows, in] by row_at, or, where `placed`, places [places, in].
template <class T>
struct ExpertProduct {
  const T *x, *weight;
  T* y;
  uint32_t out, in;
  bool placed, activated;
  Act act;
};
template <class T>
void multiply_experts(const ExpertProduct<T>& product, const Choices& choices, cudaStream_t stream);

// to [rows, width] = bias (null: 0) + the sum of each row's shares of `from` [places, width], in the order of experts.
template <class T>
void combine_experts(const T* from, const Choices& choices, const float* bias, T* to, uint32_t width,
                     cudaStream_t stream);

}  // namespace rerank::engine::cuda
