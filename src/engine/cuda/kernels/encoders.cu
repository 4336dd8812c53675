#include "engine/cuda/kernels/encoders.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kWarps = 4;
constexpr uint32_t kWidest = 256;  // of heads

struct WindowArgs {
  uint32_t head_size, query_stride, key_stride, context_stride, window;
  float scale;  // of products, log2(e) included
};

struct WarpMemory {  // of one warp, shared by its lanes
  float query[kWidest], powers[32];
};

template <class T>
__device__ inline float product_of(const float* query, const T* key, uint32_t head_size) {
  float sum = 0;
  for (uint32_t d = 0; d < head_size; d += 8) {
    float x[8];
    load_octet(key + d, x);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += query[d + i] * x[i];
  }
  return sum;
}

// One warp: a query. The keys that it sees are counted as if they lay side by side: the first of the sequence, where it
// is not in the window, then the window. Each lane takes a key of 32, then every 32nd dimension of their values; the
// maximum and the sum run along (Milakov and Gimelshein 2018).
template <class T>
__device__ void attend_window(const AttentionInput<T>& in, const QueryTile& tile, uint32_t query,
                              const WindowArgs& args, WarpMemory& memory) {
  constexpr int kMost = kWidest / 32;
  const uint32_t lane = threadIdx.x % 32;
  const size_t column = blockIdx.y * args.head_size, row = tile.begin + query;
  const T* from = in.queries + row * args.query_stride + column;
  __syncwarp();  // who reads the query before is done
  for (uint32_t d = lane; d < args.head_size; d += 32) memory.query[d] = to_float(from[d]) * args.scale;
  __syncwarp();
  const uint32_t begin = query > args.window ? query - args.window : 0, end = min(tile.length, query + args.window + 1);
  const uint32_t first = begin > 0 ? 1 : 0, keys = first + end - begin;
  const auto key_row = [&](uint32_t i) {
    return static_cast<size_t>(tile.begin + (i < first ? 0 : begin + i - first)) * args.key_stride + column;
  };
  float out[kMost] = {}, largest = -INFINITY, sum = 0;
  for (uint32_t i = 0; i < keys; i += 32) {
    const uint32_t count = min(keys - i, 32u);
    const float score =
        lane < count ? product_of(memory.query, in.keys + key_row(i + lane), args.head_size) : -INFINITY;
    const float now = fmaxf(largest, over_warp(score, [](float a, float b) { return fmaxf(a, b); }));
    const float faded = exp2f(largest - now), power = exp2f(score - now);
    largest = now;
    sum = sum * faded + power;
    memory.powers[lane] = power;
    __syncwarp();
#pragma unroll
    for (int j = 0; j < kMost; ++j) {
      const uint32_t d = lane + 32 * j;
      if (d >= args.head_size) break;
      out[j] *= faded;
      for (uint32_t k = 0; k < count; ++k) out[j] += memory.powers[k] * to_float(in.values[key_row(i + k) + d]);
    }
    __syncwarp();  // before the powers are written again
  }
  sum = over_warp(sum, Sum());
#pragma unroll
  for (int j = 0; j < kMost; ++j) {
    const uint32_t d = lane + 32 * j;
    if (d < args.head_size) in.context[row * args.context_stride + column + d] = from_float<T>(out[j] / sum);
  }
}

template <class T>
__global__ void window_kernel(AttentionInput<T> in, const QueryTile* tiles, WindowArgs args) {
  __shared__ WarpMemory memory[kWarps];
  const QueryTile tile = tiles[blockIdx.x];
  for (uint32_t i = threadIdx.x / 32; i < kTileQueries; i += kWarps) {
    const uint32_t query = tile.first_query + i;
    if (query >= tile.length) return;
    attend_window(in, tile, query, args, memory[threadIdx.x / 32]);
  }
}

template <class T>
__global__ void first_rows_kernel(const T* from, const uint32_t* firsts, T* to, uint32_t width) {
  if (blockIdx.x > 0 && firsts[blockIdx.x] == 0) return;
  T* row = to + static_cast<size_t>(firsts[blockIdx.x]) * width;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) row[c] = from[static_cast<size_t>(blockIdx.x) * width + c];
}

// One block: a row, one of those around it (blockIdx.y). Rows of one sequence are those whose positions differ as much
// as their numbers do.
template <class T>
__global__ void around_kernel(Surroundings<T> around) {
  const int row = static_cast<int>(around.which == nullptr ? blockIdx.x : around.which[blockIdx.x]);
  const int away = static_cast<int>(blockIdx.y) - static_cast<int>(around.count / 2), other = row + away;
  const bool there = other >= 0 && other < static_cast<int>(around.total) &&
                     static_cast<int>(around.places[other]) == static_cast<int>(around.places[row]) + away;
  T* to = around.to + (static_cast<size_t>(blockIdx.x) * around.count + blockIdx.y) * around.width;
  for (uint32_t c = threadIdx.x; c < around.width; c += blockDim.x)
    to[c] = there ? around.from[static_cast<size_t>(other) * around.width + c] : from_float<T>(0);
}

unsigned threads_for(uint32_t width) { return std::clamp(div_up(width, 128) * 32, 32u, 256u); }

}  // namespace

template <class T>
void attend_window_and_first(const AttentionInput<T>& in, const QueryTile* tiles, uint32_t tile_count,
                             const AttentionShape& shape, cudaStream_t stream) {
  constexpr float kLog2E = 1.44269504f;
  if (shape.head_size > kWidest || shape.head_size % 8 != 0)
    throw Failure{Code::kUnsupported, "heads of more than 256 dimensions, or not a multiple of 8"};
  const float scale = shape.scale != 0 ? shape.scale : 1 / sqrtf(static_cast<float>(shape.head_size));
  const WindowArgs args{shape.head_size, shape.query_stride, shape.key_stride, shape.heads * shape.head_size,
                        shape.window,    kLog2E * scale};
  launch("attention of windows", window_kernel<T>, {dim3(tile_count, shape.heads), kWarps * 32, 0, stream}, in, tiles,
         args);
}

template <class T>
void put_first_rows(const T* from, const uint32_t* firsts, T* to, uint32_t sequences, uint32_t width,
                    cudaStream_t stream) {
  launch("put_first_rows", first_rows_kernel<T>, {sequences, threads_for(width), 0, stream}, from, firsts, to, width);
}

template <class T>
void gather_around(const Surroundings<T>& around, uint32_t rows, cudaStream_t stream) {
  launch("gather_around", around_kernel<T>, {dim3(rows, around.count), threads_for(around.width), 0, stream}, around);
}

#define RERANK_CUDA_ENCODERS(T)                                                                     \
  template void attend_window_and_first<T>(const AttentionInput<T>&, const QueryTile*, uint32_t,    \
                                           const AttentionShape&, cudaStream_t);                    \
  template void put_first_rows<T>(const T*, const uint32_t*, T*, uint32_t, uint32_t, cudaStream_t); \
  template void gather_around<T>(const Surroundings<T>&, uint32_t, cudaStream_t)
RERANK_CUDA_ENCODERS(float);
RERANK_CUDA_ENCODERS(__half);
RERANK_CUDA_ENCODERS(__nv_bfloat16);

}  // namespace rerank::engine::cuda
