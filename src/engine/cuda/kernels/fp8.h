// FP8: products of e4m3 numbers (4 bits of exponent, 3 of fraction, up to 448). Every row of activations and every
// output of weights is scaled to the whole range by itself, rows as they come:
//   y[r, c] = row_scale[r] * scale[c] * sum over k of x[r, k] w[c, k] + bias[c]
// cuBLASLt multiplies the numbers as they are, which every device since compute capability 8.9 does, and what reads the
// sums scales them: cuBLASLt's own scales of rows and columns are there on 9.0 only. They are used where nothing else
// would have to read the sums: of queries, keys and values.
// The stream between blocks that norm it is fp16 (Shape::narrow_stream): what each block's own products lose is a
// hundred times as much, and a layer moves 8 bytes of each number less.
//
// Whatever is not a number in a row makes all of that row's outputs none, and so its pair's score, and no other pair's.
#pragma once

#include <cuda_fp8.h>

#include "engine/cuda/device.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {

using Fp8 = __nv_fp8_e4m3;

inline constexpr int kFp8Capability = 89;      // the least that has it
inline constexpr uint32_t kFp8Widest = 16384;  // of rows: one lies in the registers of a block

// Sides of a product are multiples of 16. What only fills them up is zero: device memory begins so.
inline uint32_t fp8_side(uint32_t width) { return div_up(width, 16) * 16; }

struct Fp8Rows {  // row r is scales[r] * values[r * fp8_side(width) ...]
  Fp8* values;
  float* scales;
};

template <class T>  // float or __nv_bfloat16
void quantize_rows(const T* from, const Fp8Rows& to, uint32_t rows, uint32_t width, cudaStream_t stream);

// What a product leaves, rows fp8_side(out) apart, and what makes its outputs of it.
struct Fp8Sums {
  const __nv_bfloat16* sums;
  const float *row_scales, *scales, *bias;
  uint32_t out;
};

// y [rows, out] = the outputs.
void scale_sums(const Fp8Sums& sums, __nv_bfloat16* y, uint32_t rows, cudaStream_t stream);

// Of act(outputs). GELU is exact (erf): in a pass that is needed anyway it costs little.
void activate_sums(const Fp8Sums& sums, Act act, const Fp8Rows& to, uint32_t rows, cudaStream_t stream);

// Of act(gate) * x, the outputs' two halves.
void gate_sums(const Fp8Sums& sums, Act act, const Fp8Rows& to, uint32_t rows, cudaStream_t stream);

// As residual() of kernels.h, of outputs (sums null: none) and with rows quantized. stream [rows, width] of float or
// __half.
template <class S>
struct Fp8Residual {
  Fp8Sums added = {};
  S* stream = nullptr;
  Fp8Rows rounded = {};
  NormArgs sum_norm = {}, norm = {};
  bool post = false;
};
template <class S>
void residual_sums(const Fp8Residual<S>& r, uint32_t rows, uint32_t width, cudaStream_t stream);

}  // namespace rerank::engine::cuda
