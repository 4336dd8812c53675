// The second implementation of engine/cuda/kernels/instructions.h.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda_runtime.h"
#include "group_products.h"

namespace rerank::engine::cuda {

template <class T>
T* shared_memory() {
  return static_cast<T*>(emulation::dynamic_shared_memory());
}

void load_matrices(unsigned (&r)[4], const void* shared);
void load_matrices_transposed(unsigned (&r)[4], const void* shared);
template <class T>
void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);

inline void copy_16_bytes(void* shared, const void* global, bool there) {
  emulation::begin_copy(shared, global, 16, there);
}
// Shared memory is aligned to 1024 bytes here.
template <size_t kAlignment, class T>
T* aligned(T* shared) {
  static_assert(kAlignment <= 1024);
  return shared;
}

// wgmma. Products are done when they are waited for, with what is then in shared memory and in the sums.
inline uint64_t shared_operand(const void* shared, uint32_t leading, uint32_t stride) {
  return emulation::describe_operand(shared, leading, stride);
}
inline void begin_group_products() { emulation::begin_products(); }
inline void end_group_products() { emulation::end_products(); }
inline void show_to_group_products() { emulation::show_copies(); }
template <bool kTransposed, class T, int kParts>
void group_multiply_add(float (&c)[kParts][4], const unsigned (&a)[4], uint64_t b, bool add) {
  emulation::group_multiply_add<T>(c[0], kParts, a, {b, kTransposed}, add);
}

inline unsigned thread_again() { return threadIdx.x; }
inline float reciprocal_fast(float x) { return 1 / x; }
inline float exp2_fast(float x) { return x < -126 ? 0.0f : std::exp2(x); }
inline void commit_copies() { emulation::commit_copies(); }
template <int kLeft>
void wait_for_copies() {
  emulation::wait_for_copies(kLeft);
}

}  // namespace rerank::engine::cuda
