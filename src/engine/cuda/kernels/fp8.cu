#include "engine/cuda/kernels/fp8.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr float kLargest = 448.0f;     // of e4m3
constexpr float kLeastOfRow = 1e-30f;  // rows of less are zero: neither a scale nor its inverse may overflow

__device__ inline void outputs(const Fp8Sums& s, uint32_t row, size_t stride, uint32_t c, float (&y)[8]) {
  float scale[8], bias[8];
  load_octet(s.sums + row * stride + c, y);
  load_octet(s.scales + c, scale);
  load_octet(s.bias + c, bias);
  const float own = s.row_scales[row];
#pragma unroll
  for (int j = 0; j < 8; ++j) y[j] = own * scale[j] * y[j] + bias[j];
}

struct Strided {  // rows of `to`
  Fp8Rows to;
  size_t stride;
};

__device__ inline unsigned to_fp8(const float* x, float inverse) {
  const unsigned low = __nv_cvt_float2_to_fp8x2({x[0] * inverse, x[1] * inverse}, __NV_SATFINITE, __NV_E4M3);
  const unsigned high = __nv_cvt_float2_to_fp8x2({x[2] * inverse, x[3] * inverse}, __NV_SATFINITE, __NV_E4M3);
  return low | high << 16;
}

// The largest number becomes 448; fmaxf passes over what is not a number, which stays that when it is converted. An
// infinite row has the scale inf, and zeros and no numbers in it: its outputs are none.
template <int N>
__device__ inline void store_quantized(const float (&x)[N][8], uint32_t row, const Strided& to, uint32_t width) {
  __shared__ float shared[33];
  float largest = 0;
  each_octet<N>(width, [&](int i, uint32_t) {
    for (float y : x[i]) largest = fmaxf(largest, fabsf(y));
  });
  const float scale = fmaxf(over_row(largest, shared, Largest()), kLeastOfRow) / kLargest, inverse = 1.0f / scale;
  each_octet<N>(width, [&](int i, uint32_t c) {
    *reinterpret_cast<uint2*>(to.to.values + row * to.stride + c) = {to_fp8(x[i], inverse), to_fp8(x[i] + 4, inverse)};
  });
  if (threadIdx.x == 0) to.to.scales[row] = scale;
}

template <int N, int kThreads, class T>
__global__ void __launch_bounds__(kThreads) quantize_kernel(const T* from, Strided to, uint32_t rows, uint32_t width) {
  const uint32_t row = own_row();
  if (row >= rows) return;
  float x[N][8];
  each_octet<N>(width, [&](int i, uint32_t c) { load_octet(from + static_cast<size_t>(row) * width + c, x[i]); });
  store_quantized(x, row, to, width);
}

__global__ void scale_kernel(Fp8Sums s, size_t stride, __nv_bfloat16* y) {
  for (uint32_t c = 8 * threadIdx.x; c < s.out; c += 8 * blockDim.x) {
    float x[8];
    outputs(s, blockIdx.x, stride, c, x);
    store_octet(y + blockIdx.x * static_cast<size_t>(s.out) + c, x);
  }
}

template <int N, int kThreads>
__global__ void __launch_bounds__(kThreads)
    activate_sums_kernel(Fp8Sums s, size_t stride, Act act, Strided to, uint32_t rows) {
  const uint32_t row = own_row();
  if (row >= rows) return;
  float x[N][8];
  each_octet<N>(s.out, [&](int i, uint32_t c) {
    outputs(s, row, stride, c, x[i]);
    for (float& y : x[i]) y = apply(act, y);
  });
  store_quantized(x, row, to, s.out);
}

template <int N, int kThreads>
__global__ void __launch_bounds__(kThreads)
    gate_sums_kernel(Fp8Sums s, size_t stride, Act act, Strided to, uint32_t rows) {
  const uint32_t row = own_row(), width = s.out / 2;
  if (row >= rows) return;
  float x[N][8];
  each_octet<N>(width, [&](int i, uint32_t c) {
    float gate[8];
    outputs(s, row, stride, c, gate);
    outputs(s, row, stride, width + c, x[i]);
#pragma unroll
    for (int j = 0; j < 8; ++j) x[i][j] *= apply(act, gate[j]);
  });
  store_quantized(x, row, to, width);
}

template <int N, int kThreads, class S>
__global__ void __launch_bounds__(kThreads)
    residual_sums_kernel(Fp8Residual<S> r, size_t stride, Strided to, uint32_t rows, uint32_t width) {
  const uint32_t row = own_row();
  if (row >= rows) return;
  S* begin = r.stream + row * static_cast<size_t>(width);
  float x[N][8];
  if (r.added.sums != nullptr) {
    each_octet<N>(width, [&](int i, uint32_t c) { outputs(r.added, row, stride, c, x[i]); });
    if (r.sum_norm.gamma != nullptr) norm_octets(x, r.sum_norm, width);
    each_octet<N>(width, [&](int i, uint32_t c) {
      float before[8];
      load_octet(begin + c, before);
#pragma unroll
      for (int j = 0; j < 8; ++j) x[i][j] += before[j];
      if (!r.post) store_octet(begin + c, x[i]);
    });
  } else {
    each_octet<N>(width, [&](int i, uint32_t c) { load_octet(begin + c, x[i]); });
  }
  if (r.norm.gamma == nullptr) return;
  norm_octets(x, r.norm, width);
  if (r.post) each_octet<N>(width, [&](int i, uint32_t c) { store_octet(begin + c, x[i]); });
  store_quantized(x, row, to, width);
}

Strided strided(const Fp8Rows& to, uint32_t width) { return {to, fp8_side(width)}; }

}  // namespace

template <class T>
void quantize_rows(const T* from, const Fp8Rows& to, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch_rows(rows, width, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("quantizing", quantize_kernel<octets(), threads(), T>, how, from, strided(to, width), rows, width);
  });
}
template void quantize_rows<float>(const float*, const Fp8Rows&, uint32_t, uint32_t, cudaStream_t);
template void quantize_rows<__nv_bfloat16>(const __nv_bfloat16*, const Fp8Rows&, uint32_t, uint32_t, cudaStream_t);

void scale_sums(const Fp8Sums& sums, __nv_bfloat16* y, uint32_t rows, cudaStream_t stream) {
  const unsigned threads = std::min(div_up(sums.out, 256) * 32, 256u);
  launch("scaling sums", scale_kernel, {rows, threads, 0, stream}, sums, fp8_side(sums.out), y);
}

void activate_sums(const Fp8Sums& sums, Act act, const Fp8Rows& to, uint32_t rows, cudaStream_t stream) {
  launch_rows(rows, sums.out, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("activate", activate_sums_kernel<octets(), threads()>, how, sums, fp8_side(sums.out), act,
           strided(to, sums.out), rows);
  });
}

void gate_sums(const Fp8Sums& sums, Act act, const Fp8Rows& to, uint32_t rows, cudaStream_t stream) {
  const uint32_t width = sums.out / 2;
  launch_rows(rows, width, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("gate", gate_sums_kernel<octets(), threads()>, how, sums, fp8_side(sums.out), act, strided(to, width), rows);
  });
}

template <class S>
void residual_sums(const Fp8Residual<S>& r, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch_rows(rows, width, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("residual", residual_sums_kernel<octets(), threads(), S>, how, r, fp8_side(width), strided(r.rounded, width),
           rows, width);
  });
}
template void residual_sums<float>(const Fp8Residual<float>&, uint32_t, uint32_t, cudaStream_t);
template void residual_sums<__half>(const Fp8Residual<__half>&, uint32_t, uint32_t, cudaStream_t);

}  // namespace rerank::engine::cuda
