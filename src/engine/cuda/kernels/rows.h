// Device functions that kernels share which hold a row in registers, eight numbers that lie side by side at a time: 16
// bytes of a 16-bit type. A row is read once and written once. Rows of up to 1024 numbers are a warp's each, so that
// their sums need no barrier; wider ones are a block's.
#pragma once

#include <algorithm>

#include "engine/cuda/kernels/instructions.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

__device__ inline float apply(Act act, float x) {
  switch (act) {
    case Act::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Act::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case Act::kRelu:
      return fmaxf(x, 0.0f);
    case Act::kSilu:
      return x / (1.0f + expf(-x));
    case Act::kTanh:
      return tanhf(x);
  }
  return x;
}

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Largest {  // of numbers that are not negative
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// All values of a warp combined, in each of its lanes.
template <class Combine>
__device__ inline float over_warp(float value, Combine combine) {
  for (int step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

// All values of the block's threads combined, in each of them. Called by all; `shared` holds 33 floats.
template <class Combine>
__device__ inline float over_block(float value, float* shared, Combine combine) {
  value = over_warp(value, combine);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  __syncthreads();  // who reads the last result is done with it
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  if (warp == 0) {
    const float all = over_warp(lane < static_cast<int>(blockDim.x / 32) ? shared[lane] : 0.0f, combine);
    if (lane == 0) shared[32] = all;
  }
  __syncthreads();
  return shared[32];
}

// ... of the threads that have a row: threadIdx.x, of blocks whose threadIdx.y tells rows apart.
template <class Combine>
__device__ inline float over_row(float value, float* shared, Combine combine) {
  return blockDim.x == 32 ? over_warp(value, combine) : over_block(value, shared, combine);
}

__device__ inline uint32_t own_row() { return blockIdx.x * blockDim.y + threadIdx.y; }

template <class T>
struct alignas(16) Octet {
  T v[8];
};
template <class T>
__device__ inline void load_octet(const T* from, float (&to)[8]) {
  const Octet<T> x = *reinterpret_cast<const Octet<T>*>(from);
#pragma unroll
  for (int j = 0; j < 8; ++j) to[j] = to_float(x.v[j]);
}
template <class T>
__device__ inline void store_octet(T* to, const float (&x)[8]) {
  Octet<T> rounded;
#pragma unroll
  for (int j = 0; j < 8; ++j) rounded.v[j] = from_float<T>(x[j]);
  *reinterpret_cast<Octet<T>*>(to) = rounded;
}

// body(i, c): the thread's octet i, of N, is columns c to c + 7.
template <int N, class Body>
__device__ inline void each_octet(uint32_t width, const Body& body) {
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const uint32_t c = 8 * (threadIdx.x + i * blockDim.x);
    if (c < width) body(i, c);
  }
}

// A row in registers -> its norm. The mean first, then the deviations: no cancellation.
template <int N>
__device__ inline void norm_octets(float (&x)[N][8], const NormArgs& norm, uint32_t width) {
  __shared__ float shared[33];
  float mean = 0, squares = 0;
  if (!norm.rms) {
    float sum = 0;
    each_octet<N>(width, [&](int i, uint32_t) {
      for (float y : x[i]) sum += y;
    });
    mean = over_row(sum, shared, Sum()) / static_cast<float>(width);
  }
  each_octet<N>(width, [&](int i, uint32_t) {
    for (float y : x[i]) squares += (y - mean) * (y - mean);
  });
  const float scale = rsqrtf(over_row(squares, shared, Sum()) / static_cast<float>(width) + norm.epsilon);
  each_octet<N>(width, [&](int i, uint32_t c) {
    float gamma[8], beta[8] = {};
    load_octet(norm.gamma + c, gamma);
    if (norm.beta != nullptr) load_octet(norm.beta + c, beta);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[i][j] = (x[i][j] - mean) * scale * gamma[j] + beta[j];
  });
}

inline constexpr uint32_t kWarpRow = 1024, kWidestRow = 16384;

// start(octets of a thread, its block's bound, launch) for rows of that width, a multiple of 8.
template <class Start>
void launch_rows(uint32_t rows, uint32_t width, cudaStream_t stream, const Start& start) {
  if (width > kWidestRow) throw Failure{Code::kUnsupported, "rows of more than 16384 numbers"};
  if (width <= kWarpRow) {
    const Launch how{div_up(rows, 8), dim3(32, 8), 0, stream};
    return width <= kWarpRow / 2 ? start(std::integral_constant<int, 2>(), std::integral_constant<int, 256>(), how)
                                 : start(std::integral_constant<int, 4>(), std::integral_constant<int, 256>(), how);
  }
  if (width <= 8192) {
    return start(std::integral_constant<int, 4>(), std::integral_constant<int, 256>(),
                 Launch{rows, div_up(width, 1024) * 32, 0, stream});
  }
  start(std::integral_constant<int, 2>(), std::integral_constant<int, 1024>(),
        Launch{rows, div_up(width, 512) * 32, 0, stream});
}

}  // namespace rerank::engine::cuda
