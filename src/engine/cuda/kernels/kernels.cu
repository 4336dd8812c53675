#include "engine/cuda/kernels/kernels.h"
#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kThreads = 256;

// The LayerNorm of row [width]: y(column, value). The mean first, then the deviations: no cancellation.
template <class Store>
__device__ void norm_row(const float* row, const float* gamma, const float* beta, float epsilon, uint32_t width,
                         const Store& store) {
  __shared__ float shared[33];
  float sum = 0;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) sum += row[c];
  const float mean = over_block(sum, shared, Sum()) / static_cast<float>(width);
  float squares = 0;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) squares += (row[c] - mean) * (row[c] - mean);
  const float scale = rsqrtf(over_block(squares, shared, Sum()) / static_cast<float>(width) + epsilon);
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) {
    store(c, (row[c] - mean) * scale * gamma[c] + beta[c]);
  }
}

// In place, and the same as T.
template <class T>
__device__ void norm_row(float* row, T* rounded, const float* gamma, const float* beta, float epsilon, uint32_t width) {
  norm_row(row, gamma, beta, epsilon, width, [&](uint32_t c, float y) {
    row[c] = y;
    rounded[c] = from_float<T>(y);
  });
}

template <class T>
__global__ void norm_to_kernel(const float* exact, T* rounded, const float* gamma, const float* beta, float epsilon,
                               uint32_t width) {
  const size_t begin = static_cast<size_t>(blockIdx.x) * width;
  norm_row(exact + begin, gamma, beta, epsilon, width,
           [&](uint32_t c, float y) { rounded[begin + c] = from_float<T>(y); });
}

template <class T>
__global__ void add_rows_kernel(const T* added, float* exact, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    exact[i] += to_float(added[i]);
  }
}

template <class T>
__global__ void gate_kernel(Act act, const T* gate, T* x, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    x[i] = from_float<T>(apply(act, to_float(gate[i])) * to_float(x[i]));
  }
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

template <class From, class To>
__global__ void convert_kernel(const From* from, To* to, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    to[i] = from_float<To>(to_float(from[i]));
  }
}

template <class T>
__global__ void embed_kernel(EmbedArgs<T> args) {
  const size_t token = blockIdx.x;
  const Tokens& t = args.tokens;
  const T* word = args.words + static_cast<size_t>(t.ids[token]) * args.width;
  const T* position = args.positions == nullptr
                          ? nullptr
                          : args.positions + static_cast<size_t>(args.position_offset + t.places[token]) * args.width;
  const T* segment =
      args.segments == nullptr ? nullptr : args.segments + static_cast<size_t>(t.kinds[token]) * args.width;
  float* row = args.exact + token * args.width;
  for (uint32_t c = threadIdx.x; c < args.width; c += blockDim.x) {
    float sum = to_float(word[c]);
    if (position != nullptr) sum += to_float(position[c]);
    if (segment != nullptr) sum += to_float(segment[c]);
    row[c] = sum;
  }
  norm_row(row, args.rounded + token * args.width, args.gamma, args.beta, args.epsilon, args.width);
}

template <class T>
__global__ void add_norm_kernel(const T* added, float* exact, T* rounded, const float* gamma, const float* beta,
                                float epsilon, uint32_t width) {
  const size_t begin = static_cast<size_t>(blockIdx.x) * width;
  float* row = exact + begin;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) row[c] += to_float(added[begin + c]);
  norm_row(row, rounded + begin, gamma, beta, epsilon, width);
}

template <class T>
__global__ void activate_kernel(Act act, T* x, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    x[i] = from_float<T>(apply(act, to_float(x[i])));
  }
}

template <class T>
__global__ void gather_kernel(const T* from, const uint32_t* which, T* to, uint32_t width) {
  const T* row = from + static_cast<size_t>(which[blockIdx.x]) * width;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) to[static_cast<size_t>(blockIdx.x) * width + c] = row[c];
}

// One block: a sequence (blockIdx.x), one of its three parts (blockIdx.y).
__global__ void pool_kernel(const float* states, SequenceRows of, const uint32_t* queries, float* pooled,
                            uint32_t width) {
  const uint32_t s = blockIdx.x, part = blockIdx.y, begin = of.firsts[s], query = begin + queries[s];
  const uint32_t first = part == 0 ? begin : part == 1 ? begin + 1 : query;
  const uint32_t end = part == 0 ? begin + 1 : part == 1 ? query : begin + of.lengths[s];
  const float share = end > first ? 1.0f / static_cast<float>(end - first) : 0.0f;
  for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) {
    float sum = 0;
    for (uint32_t row = first; row < end; ++row) sum += states[static_cast<size_t>(row) * width + c];
    pooled[(static_cast<size_t>(s) * 3 + part) * width + c] = sum * share;
  }
}

__global__ void head_kernel(HeadArgs args) {
  __shared__ float shared[33];
  const uint32_t width = args.width;
  float* row = args.dense + static_cast<size_t>(blockIdx.x) * width;
  const bool norm = args.gamma != nullptr;
  if (norm) {
    for (uint32_t c = threadIdx.x; c < width; c += blockDim.x) row[c] = apply(args.act, row[c]);
    norm_row(row, args.gamma, args.beta, args.epsilon, width, [&](uint32_t c, float y) { row[c] = y; });
  }
  float z = 0, sign = 1;
  for (uint32_t label = args.labels; label-- > 0; sign = -sign) {  // z1 - z0 of two labels, z0 of one
    float sum = 0;
    for (uint32_t c = threadIdx.x; c < width; c += blockDim.x)
      sum += (norm ? row[c] : apply(args.act, row[c])) * args.weight[label * width + c];
    z += sign * (over_block(sum, shared, Sum()) + args.bias[label]);
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
void embed(const EmbedArgs<T>& args, cudaStream_t stream) {
  launch("embed", embed_kernel<T>, {args.tokens.count, threads_for(args.width), 0, stream}, args);
}

template <class T>
void add_norm(const T* added, float* exact, T* rounded, const float* gamma, const float* beta, float epsilon,
              uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch("add_norm", add_norm_kernel<T>, {rows, threads_for(width), 0, stream}, added, exact, rounded, gamma, beta,
         epsilon, width);
}

template <class T>
void activate(Act act, T* x, size_t count, cudaStream_t stream) {
  launch("activate", activate_kernel<T>, {blocks_for(count), kThreads, 0, stream}, act, x, count);
}

template <class T>
void gather_rows(const T* from, const uint32_t* which, T* to, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch("gather_rows", gather_kernel<T>, {rows, threads_for(width), 0, stream}, from, which, to, width);
}

void pool(const float* states, const SequenceRows& of, const uint32_t* queries, float* pooled, uint32_t sequences,
          uint32_t width, cudaStream_t stream) {
  launch("pool", pool_kernel, {dim3(sequences, 3), threads_for(width), 0, stream}, states, of, queries, pooled, width);
}

template <class T>
void add_rows(const T* added, float* exact, size_t count, cudaStream_t stream) {
  launch("add_rows", add_rows_kernel<T>, {blocks_for(count), kThreads, 0, stream}, added, exact, count);
}

template <class T>
void norm_to(const float* exact, T* rounded, const float* gamma, const float* beta, float epsilon, uint32_t rows,
             uint32_t width, cudaStream_t stream) {
  launch("norm", norm_to_kernel<T>, {rows, threads_for(width), 0, stream}, exact, rounded, gamma, beta, epsilon, width);
}

template <class T>
void apply_gate(Act act, const T* gate, T* x, size_t count, cudaStream_t stream) {
  launch("gate", gate_kernel<T>, {blocks_for(count), kThreads, 0, stream}, act, gate, x, count);
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

#define RERANK_CUDA_KERNELS(T)                                                                                     \
  template void embed<T>(const EmbedArgs<T>&, cudaStream_t);                                                       \
  template void add_norm<T>(const T*, float*, T*, const float*, const float*, float, uint32_t, uint32_t,           \
                            cudaStream_t);                                                                         \
  template void activate<T>(Act, T*, size_t, cudaStream_t);                                                        \
  template void add_rows<T>(const T*, float*, size_t, cudaStream_t);                                               \
  template void norm_to<T>(const float*, T*, const float*, const float*, float, uint32_t, uint32_t, cudaStream_t); \
  template void apply_gate<T>(Act, const T*, T*, size_t, cudaStream_t);                                            \
  template void gather_rows<T>(const T*, const uint32_t*, T*, uint32_t, uint32_t, cudaStream_t)
RERANK_CUDA_KERNELS(float);
RERANK_CUDA_KERNELS(__half);
RERANK_CUDA_KERNELS(__nv_bfloat16);
template void gather_rows<uint32_t>(const uint32_t*, const uint32_t*, uint32_t*, uint32_t, uint32_t, cudaStream_t);

}  // namespace rerank::engine::cuda
