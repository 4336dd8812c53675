// Device functions that kernels share which give each row a block.
#pragma once

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

// All values of the block's threads combined, in each of them. Called by all; `shared` holds 33 floats.
template <class Combine>
__device__ inline float over_block(float value, float* shared, Combine combine) {
  for (int step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  __syncthreads();  // who reads the last result is done with it
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  if (warp == 0) {
    float all = lane < static_cast<int>(blockDim.x / 32) ? shared[lane] : 0.0f;
    for (int step = 16; step > 0; step /= 2) all = combine(all, __shfl_xor_sync(0xffffffffu, all, step));
    if (lane == 0) shared[32] = all;
  }
  __syncthreads();
  return shared[32];
}

}  // namespace rerank::engine::cuda
