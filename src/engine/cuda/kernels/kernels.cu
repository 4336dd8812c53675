#include "engine/cuda/kernels/kernels.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kThreads = 256;

// body(first of eight numbers) for all of them: rows are multiples of 8.
template <class Body>
__device__ inline void each_eight(size_t count, const Body& body) {
  for (size_t i = 8 * (blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x); i < count;
       i += 8 * static_cast<size_t>(gridDim.x) * blockDim.x) {
    body(i);
  }
}

template <class From, class To>
__global__ void convert_kernel(const From* from, To* to, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    to[i] = from_float<To>(to_float(from[i]));
  }
}

template <class T>
__global__ void activate_kernel(Act act, T* x, size_t count) {
  each_eight(count, [&](size_t i) {
    float y[8];
    load_octet(x + i, y);
#pragma unroll
    for (int j = 0; j < 8; ++j) y[j] = apply(act, y[j]);
    store_octet(x + i, y);
  });
}

// blockIdx.y: the row.
template <class T>
__global__ void gate_kernel(Act act, const T* both, T* to, uint32_t width) {
  const T* gate = both + static_cast<size_t>(blockIdx.y) * 2 * width;
  T* own = to + static_cast<size_t>(blockIdx.y) * width;
  each_eight(width, [&](size_t c) {
    float g[8], x[8];
    load_octet(gate + c, g);
    load_octet(gate + width + c, x);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[j] *= apply(act, g[j]);
    store_octet(own + c, x);
  });
}

// One block: a row.
template <class T>
__global__ void move_keys_kernel(KeyRows<T> rows, const KeyMove* moves) {
  const KeyMove move = moves[blockIdx.x];
  const auto place = [&](uint32_t row) {
    return (row & kOwnRow) != 0 ? rows.batch + static_cast<size_t>(row & ~kOwnRow) * rows.stride
                                : rows.kept + static_cast<size_t>(row) * rows.width;
  };
  const T* from = place(move.from);
  T* to = place(move.to);
  for (uint32_t c = 8 * threadIdx.x; c < rows.width; c += 8 * blockDim.x)
    *reinterpret_cast<Octet<T>*>(to + c) = *reinterpret_cast<const Octet<T>*>(from + c);
}

// One block: a sequence.
__global__ void mean_kernel(const float* from, SequenceRows of, float* to, uint32_t width) {
  const uint32_t first = of.firsts[blockIdx.x], length = of.lengths[blockIdx.x];
  const float share = 1.0f / static_cast<float>(length);
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) {
    float sum = 0;
    for (uint32_t row = first; row < first + length; ++row) sum += from[static_cast<size_t>(row) * width + c];
    to[static_cast<size_t>(blockIdx.x) * width + c] = sum * share;
  }
}

template <class T>
__global__ void gather_kernel(const T* from, const uint32_t* which, T* to, uint32_t width) {
  const T* row = from + static_cast<size_t>(which[blockIdx.x]) * width;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) to[static_cast<size_t>(blockIdx.x) * width + c] = row[c];
}

// One block: a sequence (blockIdx.x), one of its three parts (blockIdx.y).
__global__ void pool_kernel(const float* states, SequenceRows of, const uint32_t* scored, const uint32_t* queries,
                            float* pooled, uint32_t width) {
  const uint32_t s = blockIdx.x, part = blockIdx.y, begin = of.firsts[s], query = begin + queries[s];
  const uint32_t first = part == 0 ? scored[s] : part == 1 ? begin + 1 : query;
  const uint32_t end = part == 0 ? first + 1 : part == 1 ? query : begin + of.lengths[s];
  const float share = end > first ? 1.0f / static_cast<float>(end - first) : 0.0f;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) {
    float sum = 0;
    for (uint32_t row = first; row < end; ++row) sum += states[static_cast<size_t>(row) * width + c];
    pooled[(static_cast<size_t>(s) * 3 + part) * width + c] = sum * share;
  }
}

// LayerNorm of a row in memory, in place; the head's rows are few.
__device__ void norm_in_place(float* row, const NormArgs& norm, uint32_t width, float* shared) {
  float sum = 0, squares = 0;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) sum += norm.rms ? 0.0f : row[c];
  const float mean = over_block(sum, shared, Sum()) / static_cast<float>(width);
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) squares += (row[c] - mean) * (row[c] - mean);
  const float scale = rsqrtf(over_block(squares, shared, Sum()) / static_cast<float>(width) + norm.epsilon);
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x)
    row[c] = (row[c] - mean) * scale * norm.gamma[c] + (norm.beta == nullptr ? 0.0f : norm.beta[c]);
}

__global__ void head_kernel(HeadArgs args) {
  __shared__ float shared[33];
  const uint32_t width = args.width;
  float* row = args.rows + static_cast<size_t>(blockIdx.x) * width;
  const bool norm = args.norm.gamma != nullptr;
  if (norm) {
    for (uint32_t c = threadIdx.x; c < width; c += blockDim.x)
      row[c] = args.activated ? apply(args.act, row[c]) : row[c];
    norm_in_place(row, args.norm, width, shared);
  }
  float z = 0, sign = 1;
  for (uint32_t label = args.labels; label-- > 0; sign = -sign) {  // z1 - z0 of two labels, z0 of one
    float sum = 0;
    for (uint32_t c = threadIdx.x; c < width; c += blockDim.x)
      sum += (norm || !args.activated ? row[c] : apply(args.act, row[c])) * args.weight[label * width + c];
    float own = over_block(sum, shared, Sum()) + args.bias[label];
    if (args.softcap != 0) own = args.softcap * tanhf(own / args.softcap);
    z += sign * own;
  }
  if (threadIdx.x == 0) args.logits[blockIdx.x] = z;
}

// A thread for every four numbers of a row.
unsigned threads_for(uint32_t width) { return std::clamp(div_up(width, 128) * 32, 32u, 256u); }

unsigned blocks_for(size_t count) { return static_cast<unsigned>(std::min<size_t>(div_up(count, kThreads), 4096)); }

}  // namespace

template <class From, class To>
void convert(const From* from, To* to, size_t count, cudaStream_t stream) {
  if (count == 0) return;
  launch("convert", convert_kernel<From, To>, {blocks_for(count), kThreads, 0, stream}, from, to, count);
}

template <class T>
void activate(Act act, T* x, size_t count, cudaStream_t stream) {
  launch("activate", activate_kernel<T>, {blocks_for(div_up(count, 8)), kThreads, 0, stream}, act, x, count);
}

// Rows are blockIdx.y, of which a launch has at most 65535.
template <class T>
void apply_gate(Act act, const T* both, T* to, uint32_t rows, uint32_t width, cudaStream_t stream) {
  constexpr uint32_t kMost = 65535;
  const unsigned threads = std::clamp(div_up(width, 8 * 32) * 32, 32u, 256u);
  for (uint32_t first = 0; first < rows; first += kMost) {
    const dim3 grid(div_up(width, 8 * threads), std::min(rows - first, kMost));
    launch("gate", gate_kernel<T>, {grid, threads, 0, stream}, act, both + size_t{first} * 2 * width,
           to + size_t{first} * width, width);
  }
}

template <class T>
void move_keys(const KeyRows<T>& rows, const KeyMove* moves, uint32_t count, cudaStream_t stream) {
  const unsigned threads = std::min(div_up(rows.width, 256) * 32, 256u);
  launch("move_keys", move_keys_kernel<T>, {count, threads, 0, stream}, rows, moves);
}
template void move_keys<float>(const KeyRows<float>&, const KeyMove*, uint32_t, cudaStream_t);
template void move_keys<__half>(const KeyRows<__half>&, const KeyMove*, uint32_t, cudaStream_t);
template void move_keys<__nv_bfloat16>(const KeyRows<__nv_bfloat16>&, const KeyMove*, uint32_t, cudaStream_t);

template <class T>
void gather_rows(const T* from, const uint32_t* which, T* to, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch("gather_rows", gather_kernel<T>, {rows, threads_for(width), 0, stream}, from, which, to, width);
}

void pool(const float* states, const SequenceRows& of, const uint32_t* scored, const uint32_t* queries, float* pooled,
          uint32_t sequences, uint32_t width, cudaStream_t stream) {
  launch("pool", pool_kernel, {dim3(sequences, 3), threads_for(width), 0, stream}, states, of, scored, queries, pooled,
         width);
}

void mean_rows(const float* from, const SequenceRows& of, float* to, uint32_t sequences, uint32_t width,
               cudaStream_t stream) {
  launch("mean", mean_kernel, {sequences, threads_for(width), 0, stream}, from, of, to, width);
}

void head_logits(const HeadArgs& args, uint32_t sequences, cudaStream_t stream) {
  launch("head", head_kernel, {sequences, threads_for(args.width), 0, stream}, args);
}

#define RERANK_CUDA_CONVERT(From)                                                  \
  template void convert<From, float>(const From*, float*, size_t, cudaStream_t);   \
  template void convert<From, __half>(const From*, __half*, size_t, cudaStream_t); \
  template void convert<From, __nv_bfloat16>(const From*, __nv_bfloat16*, size_t, cudaStream_t)
RERANK_CUDA_CONVERT(float);
RERANK_CUDA_CONVERT(__half);
RERANK_CUDA_CONVERT(__nv_bfloat16);

#define RERANK_CUDA_KERNELS(T)                                                      \
  template void activate<T>(Act, T*, size_t, cudaStream_t);                         \
  template void apply_gate<T>(Act, const T*, T*, uint32_t, uint32_t, cudaStream_t); \
  template void gather_rows<T>(const T*, const uint32_t*, T*, uint32_t, uint32_t, cudaStream_t)
RERANK_CUDA_KERNELS(float);
RERANK_CUDA_KERNELS(__half);
RERANK_CUDA_KERNELS(__nv_bfloat16);
template void gather_rows<uint32_t>(const uint32_t*, const uint32_t*, uint32_t*, uint32_t, uint32_t, cudaStream_t);

}  // namespace rerank::engine::cuda
