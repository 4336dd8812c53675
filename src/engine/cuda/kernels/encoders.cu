#include "engine/cuda/kernels/encoders.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

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
void put_first_rows(const T* from, const uint32_t* firsts, T* to, uint32_t sequences, uint32_t width,
                    cudaStream_t stream) {
  launch("put_first_rows", first_rows_kernel<T>, {sequences, threads_for(width), 0, stream}, from, firsts, to, width);
}

template <class T>
void gather_around(const Surroundings<T>& around, uint32_t rows, cudaStream_t stream) {
  launch("gather_around", around_kernel<T>, {dim3(rows, around.count), threads_for(around.width), 0, stream}, around);
}

#define RERANK_CUDA_ENCODERS(T)                                                                     \
  template void put_first_rows<T>(const T*, const uint32_t*, T*, uint32_t, uint32_t, cudaStream_t); \
  template void gather_around<T>(const Surroundings<T>&, uint32_t, cudaStream_t)
RERANK_CUDA_ENCODERS(float);
RERANK_CUDA_ENCODERS(__half);
RERANK_CUDA_ENCODERS(__nv_bfloat16);

}  // namespace rerank::engine::cuda
