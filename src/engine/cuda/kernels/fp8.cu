// One block: a row, of which each thread holds some numbers in registers, four that lie side by side at a time. So rows
// are read once and written once.
#include "engine/cuda/kernels/fp8.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kQuads = 4;  // of a thread
constexpr uint32_t kMostThreads = 1024;
static_assert(kFp8Widest == 4 * kQuads * kMostThreads);
constexpr float kLargest = 448.0f;     // of e4m3
constexpr float kLeastOfRow = 1e-30f;  // rows of less are zero: neither a scale nor its inverse may overflow

template <class T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};
template <class T>
__device__ inline Four<T> load(const T* from) {
  return *reinterpret_cast<const Four<T>*>(from);
}
template <class T>
__device__ inline void store(T* to, const Four<T>& x) {
  *reinterpret_cast<Four<T>*>(to) = x;
}
template <class T>
__device__ inline Four<float> load_floats(const T* from) {
  const Four<T> x = load(from);
  return {to_float(x.v[0]), to_float(x.v[1]), to_float(x.v[2]), to_float(x.v[3])};
}

// body(i, c): the thread's quad i are columns c to c + 3.
template <class Body>
__device__ inline void each_quad(uint32_t width, const Body& body) {
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    const uint32_t c = 4 * (threadIdx.x + i * blockDim.x);
    if (c < width) body(i, c);
  }
}

__device__ inline Four<float> outputs(const Fp8Sums& s, size_t row, size_t stride, uint32_t c) {
  const Four<float> sum = load_floats(s.sums + row * stride + c), scale = load(s.scales + c), bias = load(s.bias + c);
  Four<float> y;
#pragma unroll
  for (int j = 0; j < 4; ++j) y.v[j] = s.row_scales[row] * scale.v[j] * sum.v[j] + bias.v[j];
  return y;
}

struct Strided {  // rows of `to`
  Fp8Rows to;
  size_t stride;
};

// The largest number becomes 448; fmaxf passes over what is not a number, which stays that when it is converted. An
// infinite row has the scale inf, and zeros and no numbers in it: its outputs are none.
__device__ inline void store_quantized(const Four<float> (&row)[kQuads], const Strided& to, uint32_t width) {
  __shared__ float shared[33];
  float largest = 0;
  each_quad(width, [&](int i, uint32_t) {
    for (float x : row[i].v) largest = fmaxf(largest, fabsf(x));
  });
  const float scale = fmaxf(over_block(largest, shared, Largest()), kLeastOfRow) / kLargest, inverse = 1.0f / scale;
  each_quad(width, [&](int i, uint32_t c) {
    const float(&x)[4] = row[i].v;
    const unsigned low = __nv_cvt_float2_to_fp8x2({x[0] * inverse, x[1] * inverse}, __NV_SATFINITE, __NV_E4M3);
    const unsigned high = __nv_cvt_float2_to_fp8x2({x[2] * inverse, x[3] * inverse}, __NV_SATFINITE, __NV_E4M3);
    *reinterpret_cast<unsigned*>(to.to.values + blockIdx.x * to.stride + c) = low | high << 16;
  });
  if (threadIdx.x == 0) to.to.scales[blockIdx.x] = scale;
}

template <class T>
__global__ void __launch_bounds__(kMostThreads) quantize_kernel(const T* from, Strided to, uint32_t width) {
  Four<float> row[kQuads];
  each_quad(width,
            [&](int i, uint32_t c) { row[i] = load_floats(from + blockIdx.x * static_cast<size_t>(width) + c); });
  store_quantized(row, to, width);
}

__global__ void scale_kernel(Fp8Sums s, size_t stride, __nv_bfloat16* y) {
  for (uint32_t c = 4 * threadIdx.x; c < s.out; c += 4 * blockDim.x) {
    const Four<float> x = outputs(s, blockIdx.x, stride, c);
    Four<__nv_bfloat16> rounded;
#pragma unroll
    for (int j = 0; j < 4; ++j) rounded.v[j] = from_float<__nv_bfloat16>(x.v[j]);
    store(y + blockIdx.x * static_cast<size_t>(s.out) + c, rounded);
  }
}

__global__ void __launch_bounds__(kMostThreads) activate_kernel(Fp8Sums s, size_t stride, Act act, Strided to) {
  Four<float> row[kQuads];
  each_quad(s.out, [&](int i, uint32_t c) {
    row[i] = outputs(s, blockIdx.x, stride, c);
    for (float& x : row[i].v) x = apply(act, x);
  });
  store_quantized(row, to, s.out);
}

__global__ void __launch_bounds__(kMostThreads)
    gate_kernel(Fp8Sums s, size_t stride, Act act, const __nv_bfloat16* gate, Strided to) {
  Four<float> row[kQuads];
  each_quad(s.out, [&](int i, uint32_t c) {
    row[i] = outputs(s, blockIdx.x, stride, c);
    const Four<float> g = load_floats(gate + blockIdx.x * static_cast<size_t>(s.out) + c);
#pragma unroll
    for (int j = 0; j < 4; ++j) row[i].v[j] *= apply(act, g.v[j]);
  });
  store_quantized(row, to, s.out);
}

__global__ void add_sums_kernel(Fp8Sums s, size_t stride, float* exact) {
  for (uint32_t c = 4 * threadIdx.x; c < s.out; c += 4 * blockDim.x) {
    float* at = exact + blockIdx.x * static_cast<size_t>(s.out) + c;
    Four<float> sum = load(at);
    const Four<float> added = outputs(s, blockIdx.x, stride, c);
#pragma unroll
    for (int j = 0; j < 4; ++j) sum.v[j] += added.v[j];
    store(at, sum);
  }
}

// A row in registers -> its LayerNorm. The mean first, then the deviations: no cancellation.
__device__ inline void norm_quads(Four<float> (&row)[kQuads], const Fp8Norm& norm, uint32_t width) {
  __shared__ float shared[33];
  float sum = 0, squares = 0;
  each_quad(width, [&](int i, uint32_t) {
    for (float x : row[i].v) sum += x;
  });
  const float mean = over_block(sum, shared, Sum()) / static_cast<float>(width);
  each_quad(width, [&](int i, uint32_t) {
    for (float x : row[i].v) squares += (x - mean) * (x - mean);
  });
  const float scale = rsqrtf(over_block(squares, shared, Sum()) / static_cast<float>(width) + norm.epsilon);
  each_quad(width, [&](int i, uint32_t c) {
    const Four<float> gamma = load(norm.gamma + c), beta = load(norm.beta + c);
#pragma unroll
    for (int j = 0; j < 4; ++j) row[i].v[j] = (row[i].v[j] - mean) * scale * gamma.v[j] + beta.v[j];
  });
}

__global__ void __launch_bounds__(kMostThreads)
    norm_kernel(const float* exact, Fp8Norm norm, Strided to, uint32_t width) {
  Four<float> row[kQuads];
  each_quad(width, [&](int i, uint32_t c) { row[i] = load(exact + blockIdx.x * static_cast<size_t>(width) + c); });
  norm_quads(row, norm, width);
  store_quantized(row, to, width);
}

__global__ void __launch_bounds__(kMostThreads)
    add_norm_kernel(Fp8Sums s, size_t stride, Fp8Norm norm, float* exact, Strided to) {
  const uint32_t width = s.out;
  float* begin = exact + blockIdx.x * static_cast<size_t>(width);
  Four<float> row[kQuads];
  each_quad(width, [&](int i, uint32_t c) {
    const Four<float> before = load(begin + c), added = outputs(s, blockIdx.x, stride, c);
#pragma unroll
    for (int j = 0; j < 4; ++j) row[i].v[j] = before.v[j] + added.v[j];
  });
  norm_quads(row, norm, width);
  each_quad(width, [&](int i, uint32_t c) { store(begin + c, row[i]); });
  store_quantized(row, to, width);
}

// As many as hold a row.
Launch rows_of(uint32_t rows, uint32_t width, cudaStream_t stream) {
  return {rows, div_up(width, 4 * kQuads * 32) * 32, 0, stream};
}

Strided strided(const Fp8Rows& to, uint32_t width) { return {to, fp8_side(width)}; }

}  // namespace

template <class T>
void quantize_rows(const T* from, const Fp8Rows& to, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch("quantizing", quantize_kernel<T>, rows_of(rows, width, stream), from, strided(to, width), width);
}
template void quantize_rows<float>(const float*, const Fp8Rows&, uint32_t, uint32_t, cudaStream_t);
template void quantize_rows<__nv_bfloat16>(const __nv_bfloat16*, const Fp8Rows&, uint32_t, uint32_t, cudaStream_t);

void scale_sums(const Fp8Sums& sums, __nv_bfloat16* y, uint32_t rows, cudaStream_t stream) {
  const unsigned threads = std::min(div_up(sums.out, 128) * 32, 256u);
  launch("scaling sums", scale_kernel, {rows, threads, 0, stream}, sums, fp8_side(sums.out), y);
}

void activate_sums(const Fp8Sums& sums, Act act, const Fp8Rows& to, uint32_t rows, cudaStream_t stream) {
  launch("activate", activate_kernel, rows_of(rows, sums.out, stream), sums, fp8_side(sums.out), act,
         strided(to, sums.out));
}

void gate_sums(const Fp8Sums& sums, Act act, const __nv_bfloat16* gate, const Fp8Rows& to, uint32_t rows,
               cudaStream_t stream) {
  launch("gate", gate_kernel, rows_of(rows, sums.out, stream), sums, fp8_side(sums.out), act, gate,
         strided(to, sums.out));
}

void add_sums(const Fp8Sums& sums, float* exact, uint32_t rows, cudaStream_t stream) {
  const unsigned threads = std::min(div_up(sums.out, 128) * 32, 256u);
  launch("adding sums", add_sums_kernel, {rows, threads, 0, stream}, sums, fp8_side(sums.out), exact);
}

void norm_quantized(const float* exact, const Fp8Norm& norm, const Fp8Rows& to, uint32_t rows, uint32_t width,
                    cudaStream_t stream) {
  launch("norm", norm_kernel, rows_of(rows, width, stream), exact, norm, strided(to, width), width);
}

void add_norm_sums(const Fp8Sums& sums, const Fp8Norm& norm, float* exact, const Fp8Rows& to, uint32_t rows,
                   cudaStream_t stream) {
  launch("add_norm", add_norm_kernel, rows_of(rows, sums.out, stream), sums, fp8_side(sums.out), norm, exact,
         strided(to, sums.out));
}

}  // namespace rerank::engine::cuda
