// What attention's kernels share: their arguments, and what masks, distances and caps do to scores. Scores are taken as
// powers of two: log2(e) is in the factors.
#pragma once

#include "engine/cuda/kernels/instructions.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

inline constexpr float kLog2E = 1.44269504f;
inline constexpr int kWarps = 4;
// Those on tensor cores have some of these sizes.
inline constexpr uint32_t kMostHeadSize = 256;

struct KernelArgs {
  uint32_t head_size, group;  // heads that share keys and values
  uint32_t query_stride, key_stride, context_stride;
  float scale;  // of products, log2(e) included
  float cap;    // of scores as they are; 0: none
  uint32_t window;
  bool causal, global_first;
  const float* slopes;
  RelativeRows relative;
  uint32_t relative_stride;
  uint32_t tile_queries;
  float reach, first_reach;  // the largest distances at which a key, and the first one, are seen
};

// Which keys are seen, and what distance takes off their scores.
struct AttentionMask {
  uint32_t window;  // 0: all
  bool causal;
  bool global_first;  // the first key is seen by all, besides those in the window
  float slope;        // of scores as powers of two
  float cap;
  RelativeRows relative;

  // The keys that queries [first, last] of a sequence of so many tokens may see are in [first_key(), end()), besides a
  // global first one.
  __device__ uint32_t first_key(uint32_t first) const {
    const uint32_t back = causal ? window - 1 : window;
    return window == 0 || first < back ? 0 : first - back;
  }
  __device__ uint32_t end(uint32_t last, uint32_t length) const {
    if (causal) return min(last + 1, length);
    return window == 0 || length - last <= window ? length : last + window + 1;
  }
  __device__ uint32_t relative_row(uint32_t query, uint32_t key) const {
    const int reach = static_cast<int>(relative.reach), distance = static_cast<int>(query) - static_cast<int>(key);
    return static_cast<uint32_t>(min(max(distance, -reach), reach) + reach);
  }
  // Of a key that is there.
  __device__ float operator()(float score, uint32_t query, uint32_t key) const {
    if (cap != 0) score = kLog2E * cap * tanhf(score / (kLog2E * cap));
    const uint32_t distance = query > key ? query - key : key - query;
    if (relative.bias != nullptr)
      score += relative.bias[blockIdx.y * (2 * relative.reach + 1) + relative_row(query, key)] * kLog2E;
    const bool hidden = causal ? key > query || (window != 0 && distance >= window) : window != 0 && distance > window;
    return hidden && !(global_first && key == 0) ? -INFINITY : score - slope * static_cast<float>(distance);
  }
};

__device__ inline AttentionMask mask_of(const KernelArgs& args) {
  return {args.window,       args.causal,
          args.global_first, args.slopes == nullptr ? 0.0f : args.slopes[blockIdx.y] * kLog2E,
          args.cap,          args.relative};
}

// The row of a batch that holds the key at a position of a tile's sequence.
__device__ inline uint32_t row_of(const QueryTile& tile, uint32_t position) {
  return position < tile.prefix_length ? tile.prefix_begin + position : tile.begin + (position - tile.prefix_length);
}

KernelArgs kernel_args(const AttentionShape& shape);

// For checking, for head sizes without a kernel on tensor cores, and for relative positions (plain.cu).
template <class T>
void attend_all_plain(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                      cudaStream_t stream);

}  // namespace rerank::engine::cuda
