// The instructions behind attention's tensor-core kernel, one function each. Compiled for the host (tests/cuda) they
// are an emulation. Layouts: PTX ISA, "Matrix fragments" and "ldmatrix".
#pragma once

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace rerank::engine::cuda {

// The block's dynamic shared memory, aligned to 16 bytes.
template <class T>
__device__ inline T* shared_memory() {
  extern __shared__ __align__(16) unsigned char memory[];
  return reinterpret_cast<T*>(memory);
}

__device__ inline unsigned address_of(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

// The first place at or after `shared` whose address is a multiple of kAlignment, which has 16 at least.
template <size_t kAlignment, class T>
__device__ inline T* aligned(T* shared) {
  return shared + (kAlignment - address_of(shared) % kAlignment) % kAlignment / sizeof(T);
}

// Four 8 x 8 matrices of 16-bit numbers; lane 8 j + i brings the address of row i of matrix j.
__device__ inline void load_matrices(unsigned (&r)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address_of(shared))
               : "memory");
}

__device__ inline void load_matrices_transposed(unsigned (&r)[4], const void* shared) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address_of(shared))
               : "memory");
}

// c [16, 8] += a [16, 16] b [16, 8]
template <class T>
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <>
__device__ inline void multiply_add<__half>(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ inline void multiply_add<__nv_bfloat16>(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
      "%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Asynchronous: the copy belongs to the group that is committed next. Both aligned to 16 bytes. Where it is not
// `there`, zeros are written and nothing is read.
__device__ inline void copy_16_bytes(void* shared, const void* global, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address_of(shared)), "l"(global),
               "r"(there ? 16 : 0)
               : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most kLeft groups of this thread are under way.
template <int kLeft>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// The products of four warps together (wgmma), on compute capability 9.0 with its own features. Compiled for others
// they end the kernel; launch() never asks for them there.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define RERANKD_WGMMA(...) asm volatile(__VA_ARGS__)
#else
#define RERANKD_WGMMA(...) __trap()
#endif

// Where a right operand of 16 x N numbers lies in shared memory, in blocks with a swizzle of 128 bytes (PTX ISA,
// "Matrix descriptor format"). `leading`, `stride`: bytes between blocks, and from eight rows to the next eight.
__device__ inline uint64_t shared_operand(const void* shared, uint32_t leading, uint32_t stride) {
  return (address_of(shared) & 0x3ffff) >> 4 | uint64_t{leading >> 4} << 16 | uint64_t{stride >> 4} << 32 |
         uint64_t{1} << 62;
}

// Before the first product: what this thread has written into its registers is there.
__device__ inline void begin_group_products() { RERANKD_WGMMA("wgmma.fence.sync.aligned;" ::: "memory"); }
// Until all are done; then the sums may be read, and the operands written.
__device__ inline void end_group_products() {
  RERANKD_WGMMA("wgmma.commit_group.sync.aligned;" ::: "memory");
  RERANKD_WGMMA("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}
// What this thread has copied into shared memory may be read by wgmma, which does not see it by itself.
__device__ inline void show_to_group_products() { RERANKD_WGMMA("fence.proxy.async.shared::cta;" ::: "memory"); }

// c [64, N] = a [64, 16] b [16, N], added to c where `add`; each warp has 16 rows of a and c. kTransposed: b lies by
// its rows of N (MN-major), else by columns of 16 (K-major).
#define RERANKD_GROUP_PRODUCT_64(T, NAME)                                                                           \
  template <bool kTransposed>                                                                                       \
  __device__ inline void group_multiply_add(float(&c)[8][4], const unsigned(&a)[4], uint64_t b, int add, T) {       \
    RERANKD_WGMMA("{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k16.f32." NAME "." NAME \
                  " {"                                                                                              \
                  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                          \
                  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "               \
                  "{%32, %33, %34, %35}, %36, p, 1, 1, %38;}"                                                       \
                  : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),       \
                    "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),       \
                    "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]),       \
                    "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),       \
                    "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]),       \
                    "+f"(c[7][2]), "+f"(c[7][3])                                                                    \
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(int{kTransposed}));           \
  }
RERANKD_GROUP_PRODUCT_64(__half, "f16")
RERANKD_GROUP_PRODUCT_64(__nv_bfloat16, "bf16")
#undef RERANKD_GROUP_PRODUCT_64

#define RERANKD_GROUP_PRODUCT_128(T, NAME)                                                                           \
  template <bool kTransposed>                                                                                        \
  __device__ inline void group_multiply_add(float(&c)[16][4], const unsigned(&a)[4], uint64_t b, int add, T) {       \
    RERANKD_WGMMA("{.reg .pred p; setp.ne.b32 p, %69, 0; wgmma.mma_async.sync.aligned.m64n128k16.f32." NAME "." NAME \
                  " {"                                                                                               \
                  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                           \
                  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                 \
                  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                 \
                  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "                \
                  "{%64, %65, %66, %67}, %68, p, 1, 1, %70;}"                                                        \
                  : "+f"(c[0][0]), "+f"(c[0][1]), "+f"(c[0][2]), "+f"(c[0][3]), "+f"(c[1][0]), "+f"(c[1][1]),        \
                    "+f"(c[1][2]), "+f"(c[1][3]), "+f"(c[2][0]), "+f"(c[2][1]), "+f"(c[2][2]), "+f"(c[2][3]),        \
                    "+f"(c[3][0]), "+f"(c[3][1]), "+f"(c[3][2]), "+f"(c[3][3]), "+f"(c[4][0]), "+f"(c[4][1]),        \
                    "+f"(c[4][2]), "+f"(c[4][3]), "+f"(c[5][0]), "+f"(c[5][1]), "+f"(c[5][2]), "+f"(c[5][3]),        \
                    "+f"(c[6][0]), "+f"(c[6][1]), "+f"(c[6][2]), "+f"(c[6][3]), "+f"(c[7][0]), "+f"(c[7][1]),        \
                    "+f"(c[7][2]), "+f"(c[7][3]), "+f"(c[8][0]), "+f"(c[8][1]), "+f"(c[8][2]), "+f"(c[8][3]),        \
                    "+f"(c[9][0]), "+f"(c[9][1]), "+f"(c[9][2]), "+f"(c[9][3]), "+f"(c[10][0]), "+f"(c[10][1]),      \
                    "+f"(c[10][2]), "+f"(c[10][3]), "+f"(c[11][0]), "+f"(c[11][1]), "+f"(c[11][2]), "+f"(c[11][3]),  \
                    "+f"(c[12][0]), "+f"(c[12][1]), "+f"(c[12][2]), "+f"(c[12][3]), "+f"(c[13][0]), "+f"(c[13][1]),  \
                    "+f"(c[13][2]), "+f"(c[13][3]), "+f"(c[14][0]), "+f"(c[14][1]), "+f"(c[14][2]), "+f"(c[14][3]),  \
                    "+f"(c[15][0]), "+f"(c[15][1]), "+f"(c[15][2]), "+f"(c[15][3])                                   \
                  : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add), "n"(int{kTransposed}));            \
  }
RERANKD_GROUP_PRODUCT_128(__half, "f16")
RERANKD_GROUP_PRODUCT_128(__nv_bfloat16, "bf16")
#undef RERANKD_GROUP_PRODUCT_128

template <bool kTransposed, class T, int kParts>
__device__ inline void group_multiply_add(float (&c)[kParts][4], const unsigned (&a)[4], uint64_t b, bool add) {
  group_multiply_add<kTransposed>(c, a, b, add, T());
}
#undef RERANKD_WGMMA

// threadIdx.x, read anew wherever this stands.
__device__ inline unsigned thread_again() {
  unsigned x;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
  return x;
}

// 2^x to two units of the last place; what is smaller than 2^-126 is 0.
__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

__device__ inline float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace rerank::engine::cuda

#else
#include "emulated_instructions.h"
#endif

namespace rerank::engine::cuda {

__host__ __device__ inline float to_float(float x) { return x; }
__host__ __device__ inline float to_float(__half x) { return __half2float(x); }
__host__ __device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__host__ __device__ inline T from_float(float x);
template <>
__host__ __device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__host__ __device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}
template <>
__host__ __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}

}  // namespace rerank::engine::cuda
