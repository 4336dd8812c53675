// What queries and keys get before attention: an RMS norm of each head, and RoPE. A head is a group of lanes, each of
// which has four numbers of its first half and the four that they are rotated with.
#include <bit>

#include "engine/cuda/kernels/instructions.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kThreads = 128;

template <class T>
struct alignas(4 * sizeof(T)) Quad {
  T v[4];
};
template <class T>
__device__ inline void load_quad(const T* from, float (&to)[4]) {
  const Quad<T> x = *reinterpret_cast<const Quad<T>*>(from);
#pragma unroll
  for (int j = 0; j < 4; ++j) to[j] = to_float(x.v[j]);
}
template <class T>
__device__ inline void store_quad(T* to, const float (&x)[4]) {
  Quad<T> rounded;
#pragma unroll
  for (int j = 0; j < 4; ++j) rounded.v[j] = from_float<T>(x[j]);
  *reinterpret_cast<Quad<T>*>(to) = rounded;
}

template <class T>
__global__ void rotate_kernel(T* x, HeadRotation r, uint32_t group, uint32_t count) {
  const size_t item = (blockIdx.x * static_cast<size_t>(kThreads) + threadIdx.x) / group;
  const uint32_t lane = threadIdx.x % group;
  const uint32_t half = r.head_size / 2, c = 4 * lane;
  const bool there = item < count && c < half;
  const uint32_t row = there ? static_cast<uint32_t>(item) / r.heads : 0;
  const uint32_t head = there ? static_cast<uint32_t>(item) % r.heads : 0;
  T* own = x + static_cast<size_t>(row) * r.stride + head * r.head_size + (there ? c : 0);
  float a[4] = {}, b[4] = {};
  if (there) {
    load_quad(own, a);
    load_quad(own + half, b);
  }
  const bool is_query = head < r.query_heads;
  const float* gamma = is_query ? r.query_gamma : r.key_gamma;
  if (gamma != nullptr) {  // of all heads, or of none: the same in all lanes
    float squares = 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) squares += a[j] * a[j] + b[j] * b[j];
    for (uint32_t step = group / 2; step > 0; step /= 2)
      squares += __shfl_xor_sync(0xffffffffu, squares, static_cast<int>(step));
    const float scale = rsqrtf(squares / static_cast<float>(r.head_size) + r.epsilon);
    if (there) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        a[j] *= scale * gamma[c + j];
        b[j] *= scale * gamma[half + c + j];
      }
    }
  }
  if (!there) return;
  if (r.angles != nullptr) {
    const float* angle = r.angles + static_cast<size_t>(r.positions[row]) * r.head_size;
    float cosine[4], sine[4];
    load_quad(angle + c, cosine);
    load_quad(angle + half + c, sine);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float first = a[j], second = b[j];
      a[j] = first * cosine[j] - second * sine[j];
      b[j] = second * cosine[j] + first * sine[j];
    }
  }
  store_quad(own, a);
  store_quad(own + half, b);
}

}  // namespace

template <class T>
void rotate(T* x, const HeadRotation& r, uint32_t rows, cudaStream_t stream) {
  if (r.angles == nullptr && r.query_gamma == nullptr && r.key_gamma == nullptr) return;
  const uint32_t group = std::bit_ceil(r.head_size / 8), count = rows * r.heads;
  launch("rotating heads", rotate_kernel<T>, {div_up(size_t{count} * group, kThreads), kThreads, 0, stream}, x, r,
         group, count);
}
template void rotate<float>(float*, const HeadRotation&, uint32_t, cudaStream_t);
template void rotate<__half>(__half*, const HeadRotation&, uint32_t, cudaStream_t);
template void rotate<__nv_bfloat16>(__nv_bfloat16*, const HeadRotation&, uint32_t, cudaStream_t);

}  // namespace rerank::engine::cuda
