// Attention without tensor cores: one warp per query and head, any type, head sizes up to 256 in steps of 8. Each lane
// takes a key of 32, then every 32nd dimension of their values.
#include "engine/cuda/attention/attention.h"

namespace rerank::engine::cuda {
namespace {

struct PlainMemory {  // of one warp, shared by its lanes
  float query[kMostHeadSize], powers[32];
};

template <class T>
struct alignas(16) Piece {
  T values[8];
};

template <class T>
__device__ inline float score_of(const float* query, const T* key, uint32_t head_size) {
  float score = 0;
  for (uint32_t d = 0; d < head_size; d += 8) {
    const auto piece = *reinterpret_cast<const Piece<T>*>(key + d);
#pragma unroll
    for (int i = 0; i < 8; ++i) score += query[d + i] * to_float(piece.values[i]);
  }
  return score;
}

__device__ inline float largest_of_warp(float x) {
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

__device__ inline float sum_of_warp(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

// keys and values: the head's columns of row 0. tile: of the sequence; its queries do not matter.
template <class T>
struct PlainHead {
  const T *query, *keys, *values;
  T* context;
  QueryTile tile;
  uint32_t position;  // the query's
};

template <class T>
__device__ void attend_plain(const PlainHead<T>& head, const KernelArgs& args, PlainMemory& memory) {
  constexpr int kMost = kMostHeadSize / 32;
  const uint32_t lane = threadIdx.x % 32, length = head.tile.prefix_length + head.tile.length;
  __syncwarp();  // who reads the query before is done
  for (uint32_t d = lane; d < args.head_size; d += 32) memory.query[d] = to_float(head.query[d]) * args.scale;
  __syncwarp();
  float out[kMost] = {}, largest = -INFINITY, sum = 0;
  const AttentionMask mask = mask_of(args);
  const uint32_t end = mask.end(head.position, length);
  uint32_t next = mask.first_key(head.position);
  bool global = mask.global_first && next > 0;  // the first key comes alone, before the window's
  for (uint32_t first = global ? 0 : next; first < end; first = next, global = false) {
    if (!global) next = first + 32;
    const uint32_t count = global ? 1 : min(end - first, 32u), position = first + lane;
    float score = -INFINITY;
    if (lane < count) {
      const T* key = head.keys + static_cast<size_t>(row_of(head.tile, position)) * args.key_stride;
      score = score_of(memory.query, key, args.head_size);
      const size_t row = static_cast<size_t>(mask.relative_row(head.position, position)) * args.relative_stride +
                         blockIdx.y * args.head_size;
      if (args.relative.keys != nullptr) score += score_of(memory.query, args.relative.keys + row, args.head_size);
      if (args.relative.queries != nullptr)
        score += args.scale * score_of(args.relative.queries + row, key, args.head_size);
      score = mask(score, head.position, position);
    }
    const float now = fmaxf(largest, largest_of_warp(score)), faded = exp2f(largest - now);
    const float power = exp2f(score - now);
    largest = now;
    sum = sum * faded + power;
    memory.powers[lane] = power;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const uint32_t d = lane + 32 * i;
      if (d >= args.head_size) break;
      out[i] *= faded;
      for (uint32_t j = 0; j < count; ++j) {
        const size_t row = static_cast<size_t>(row_of(head.tile, first + j)) * args.key_stride;
        out[i] += memory.powers[j] * to_float(head.values[row + d]);
      }
    }
    __syncwarp();  // before the powers are written again
  }
  sum = sum_of_warp(sum);
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const uint32_t d = lane + 32 * i;
    if (d < args.head_size) head.context[d] = from_float<T>(out[i] / sum);
  }
}

template <class T>
__global__ void attend_all_kernel(AttentionInput<T> in, const QueryTile* tiles, KernelArgs args) {
  __shared__ PlainMemory memory[kWarps];
  const QueryTile tile = tiles[blockIdx.x];
  const size_t column = blockIdx.y * args.head_size, shared = blockIdx.y / args.group * args.head_size;
  for (uint32_t i = threadIdx.x / 32; i < args.tile_queries; i += kWarps) {
    const uint32_t query = tile.first_query + i;
    if (query >= tile.length) return;
    const size_t row = tile.begin + query;
    attend_plain<T>({in.queries + row * args.query_stride + column, in.keys + shared, in.values + shared,
                     in.context + row * args.context_stride + column, tile, tile.prefix_length + query},
                    args, memory[threadIdx.x / 32]);
  }
}

template <class T>
__global__ void attend_scored_kernel(AttentionInput<T> in, ScoredRows of, KernelArgs args) {
  __shared__ PlainMemory memory;
  const size_t s = blockIdx.x, column = blockIdx.y * args.head_size, shared = blockIdx.y / args.group * args.head_size;
  const Run run = of.runs[s];
  attend_plain<T>({in.queries + s * args.query_stride + column,
                   in.keys + shared,
                   in.values + shared,
                   in.context + s * args.context_stride + column,
                   {run.begin, run.length, 0, run.prefix_begin, run.prefix_length},
                   of.positions[s]},
                  args, memory);
}

}  // namespace

template <class T>
void attend_all_plain(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                      cudaStream_t stream) {
  launch("attention", attend_all_kernel<T>, {grid, kWarps * 32, 0, stream}, in, tiles, args);
}

template <class T>
void attend_scored(const AttentionInput<T>& in, const ScoredRows& of, uint32_t sequences, const AttentionShape& shape,
                   cudaStream_t stream) {
  launch("attention of scored rows", attend_scored_kernel<T>, {dim3(sequences, shape.heads), 32, 0, stream}, in, of,
         kernel_args(shape));
}

#define RERANK_CUDA_PLAIN(T)                                                                                   \
  template void attend_all_plain<T>(const AttentionInput<T>&, const QueryTile*, dim3, const KernelArgs&,       \
                                    cudaStream_t);                                                             \
  template void attend_scored<T>(const AttentionInput<T>&, const ScoredRows&, uint32_t, const AttentionShape&, \
                                 cudaStream_t)
RERANK_CUDA_PLAIN(float);
RERANK_CUDA_PLAIN(__half);
RERANK_CUDA_PLAIN(__nv_bfloat16);

}  // namespace rerank::engine::cuda
