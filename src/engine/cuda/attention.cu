// Attention of packed sequences. Every tile of 64 queries walks over the keys of its own sequence alone, 64 at a time,
// with the running maximum and sum of Milakov and Gimelshein 2018 (arXiv:1805.02867), so that no scores are kept:
//   m' = max(m, max s)   l' = l 2^(m - m') + sum 2^(s - m')   o' = o 2^(m - m') + 2^(s - m') v
// Scores are taken as powers of two: queries' scale has log2(e) in it.
//
// A warp has 16 queries. Layouts of mma.m16n8k16 (PTX ISA, "Matrix fragments"): lane = 4 g + t holds rows g and g + 8,
// columns 2t and 2t + 1 of each 8 x 8 part. Two neighbouring 8-wide parts of the scores are so, without moving
// anything, the left operand of the product with the values.
#include "engine/cuda/kernels.h"

namespace rerank::cuda {
namespace {

constexpr int kWarps = 4, kTileKeys = 64;
static_assert(kTileQueries == 16 * kWarps);

__device__ inline unsigned address_of(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

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

template <class T>
__device__ inline void multiply_add(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <>
__device__ inline void multiply_add<__half>(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
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

__device__ inline unsigned pack(float low, float high, __half) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
}
__device__ inline unsigned pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
}

// 64 rows of D values into shared memory, 16 bytes at a time; rows from `valid` on become zero. Asynchronous: the copy
// belongs to the group that is committed next.
template <int D, class T>
__device__ inline void copy_tile(T* shared, const T* global, size_t stride, uint32_t valid) {
  constexpr int kPieces = D / 8, kStride = D + 8;
  for (int i = threadIdx.x; i < 64 * kPieces; i += kWarps * 32) {
    const uint32_t row = i / kPieces, column = i % kPieces * 8;
    T* to = shared + row * kStride + column;
    if (row < valid) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address_of(to)), "l"(global + row * stride + column)
                   : "memory");
    } else {
      *reinterpret_cast<uint4*>(to) = uint4{0, 0, 0, 0};
    }
  }
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kLeft>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// What one warp knows of its 16 queries; [2]: rows g and g + 8.
template <int D>
struct Accumulator {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  float out[D / 8][4] = {};
};

// Scores of a tile of keys, raised to powers and added up with their values.
template <int D, class T>
__device__ inline void attend_tile(Accumulator<D>& acc, const unsigned (&queries)[D / 16][4], const T* keys,
                                   const T* values, uint32_t valid, float scale) {
  constexpr int kStride = D + 8;
  const int lane = threadIdx.x % 32, part = lane / 8, row = lane % 8;
  float scores[kTileKeys / 8][4] = {};
#pragma unroll
  for (int n = 0; n < kTileKeys / 16; ++n) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
      unsigned b[4];
      load_matrices(b, keys + (n * 16 + part / 2 * 8 + row) * kStride + k * 16 + part % 2 * 8);
      multiply_add<T>(scores[2 * n], queries[k], b[0], b[1]);
      multiply_add<T>(scores[2 * n + 1], queries[k], b[2], b[3]);
    }
  }
  float largest[2] = {acc.largest[0], acc.largest[1]};
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool there = static_cast<uint32_t>(n * 8 + lane % 4 * 2 + i % 2) < valid;
      scores[n][i] = there ? scores[n][i] * scale : -INFINITY;
      largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {  // over the four lanes that share a row; its first key is always there
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 1));
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 2));
    const float faded = exp2f(acc.largest[r] - largest[r]);
    acc.largest[r] = largest[r];
    acc.sum[r] *= faded;
#pragma unroll
    for (int d = 0; d < D / 8; ++d) {
      acc.out[d][2 * r] *= faded;
      acc.out[d][2 * r + 1] *= faded;
    }
  }
#pragma unroll
  for (int n = 0; n < kTileKeys / 16; ++n) {
    unsigned a[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float(&s)[4] = scores[2 * n + half];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        s[i] = exp2f(s[i] - largest[i / 2]);
        acc.sum[i / 2] += s[i];
      }
      a[2 * half] = pack(s[0], s[1], T());
      a[2 * half + 1] = pack(s[2], s[3], T());
    }
#pragma unroll
    for (int d = 0; d < D / 16; ++d) {
      unsigned b[4];
      load_matrices_transposed(b, values + (n * 16 + part % 2 * 8 + row) * kStride + d * 16 + part / 2 * 8);
      multiply_add<T>(acc.out[2 * d], a, b[0], b[1]);
      multiply_add<T>(acc.out[2 * d + 1], a, b[2], b[3]);
    }
  }
}

template <int D, class T>
__device__ inline void store(Accumulator<D>& acc, T* context, const QueryTile& tile, uint32_t hidden, int warp) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    acc.sum[r] += __shfl_xor_sync(0xffffffffu, acc.sum[r], 1);
    acc.sum[r] += __shfl_xor_sync(0xffffffffu, acc.sum[r], 2);
    const uint32_t query = tile.first_query + warp * 16 + lane / 4 + r * 8;
    if (query >= tile.length) continue;
    const float scale = 1.0f / acc.sum[r];
    T* row = context + static_cast<size_t>(tile.begin + query) * hidden + blockIdx.y * D + lane % 4 * 2;
#pragma unroll
    for (int d = 0; d < D / 8; ++d)
      *reinterpret_cast<unsigned*>(row + d * 8) = pack(acc.out[d][2 * r] * scale, acc.out[d][2 * r + 1] * scale, T());
  }
}

template <int D>
constexpr size_t kSharedBytes = size_t{5} * 64 * (D + 8) * 2;  // queries, two tiles of keys, two of values

// One block: a tile of queries (blockIdx.x) of one head (blockIdx.y). While a tile of keys and values is computed the
// next one is on its way.
template <int D, class T>
__global__ void __launch_bounds__(kWarps * 32)
    attention_kernel(const T* qkv, T* context, const QueryTile* tiles, uint32_t hidden, float scale) {
  constexpr int kStride = D + 8, kTile = 64 * kStride;
  extern __shared__ __align__(16) unsigned char memory[];
  T* shared = reinterpret_cast<T*>(memory);
  const QueryTile tile = tiles[blockIdx.x];
  const size_t stride = 3 * static_cast<size_t>(hidden);
  const T* sequence = qkv + tile.begin * stride + blockIdx.y * D;
  const auto fetch = [&](uint32_t first, int slot) {
    const uint32_t valid = min(tile.length - first, static_cast<uint32_t>(kTileKeys));
    copy_tile<D>(shared + (1 + slot) * kTile, sequence + hidden + first * stride, stride, valid);
    copy_tile<D>(shared + (3 + slot) * kTile, sequence + 2 * hidden + first * stride, stride, valid);
    commit_copies();
  };
  copy_tile<D>(shared, sequence + tile.first_query * stride, stride, tile.length - tile.first_query);
  fetch(0, 0);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  unsigned queries[D / 16][4];
  Accumulator<D> acc;
  int slot = 0;
  for (uint32_t first = 0; first < tile.length; first += kTileKeys, slot = 1 - slot) {
    const bool more = first + kTileKeys < tile.length;
    if (more) fetch(first + kTileKeys, 1 - slot);
    more ? wait_for_copies<1>() : wait_for_copies<0>();
    __syncthreads();
    if (first == 0) {
#pragma unroll
      for (int k = 0; k < D / 16; ++k)
        load_matrices(queries[k], shared + (warp * 16 + lane % 16) * kStride + k * 16 + lane / 16 * 8);
    }
    attend_tile<D>(acc, queries, shared + (1 + slot) * kTile, shared + (3 + slot) * kTile,
                   min(tile.length - first, static_cast<uint32_t>(kTileKeys)), scale);
    __syncthreads();  // before the slot is written again
  }
  store<D>(acc, context, tile, hidden, warp);
}

// One warp per query and head, any type and head size up to 256: each lane has every 32nd dimension. For checking, and
// where there is one query per sequence.
struct PlainArgs {
  uint32_t head_size, hidden;
  float scale;
};

__device__ inline float as_float(float x) { return x; }
__device__ inline float as_float(__half x) { return __half2float(x); }
__device__ inline float as_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline void put(float* to, float x) { *to = x; }
__device__ inline void put(__half* to, float x) { *to = __float2half_rn(x); }
__device__ inline void put(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }

template <class T>
__device__ void attend_plain(const T* query, const T* keys, const T* values, size_t stride, uint32_t length, T* context,
                             const PlainArgs& args) {
  constexpr int kMost = 8;
  const int lane = threadIdx.x % 32;
  float q[kMost], out[kMost] = {}, largest = -INFINITY, sum = 0;
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const uint32_t d = lane + 32 * i;
    q[i] = d < args.head_size ? as_float(query[d]) * args.scale : 0.0f;
  }
  for (uint32_t j = 0; j < length; ++j) {
    float score = 0;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const uint32_t d = lane + 32 * i;
      if (d < args.head_size) score += q[i] * as_float(keys[j * stride + d]);
    }
    for (int step = 16; step > 0; step /= 2) score += __shfl_xor_sync(0xffffffffu, score, step);
    const float now = fmaxf(largest, score), faded = exp2f(largest - now), power = exp2f(score - now);
    largest = now;
    sum = sum * faded + power;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const uint32_t d = lane + 32 * i;
      if (d < args.head_size) out[i] = out[i] * faded + power * as_float(values[j * stride + d]);
    }
  }
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const uint32_t d = lane + 32 * i;
    if (d < args.head_size) put(context + d, out[i] / sum);
  }
}

template <class T>
__global__ void attend_all_plain(const T* qkv, T* context, const QueryTile* tiles, PlainArgs args) {
  const QueryTile tile = tiles[blockIdx.x];
  const size_t stride = 3 * static_cast<size_t>(args.hidden), column = blockIdx.y * args.head_size;
  const T* sequence = qkv + tile.begin * stride + column;
  for (uint32_t i = threadIdx.x / 32; i < kTileQueries; i += kWarps) {
    const uint32_t query = tile.first_query + i;
    if (query >= tile.length) return;
    attend_plain(sequence + query * stride, sequence + args.hidden, sequence + 2 * args.hidden, stride, tile.length,
                 context + static_cast<size_t>(tile.begin + query) * args.hidden + column, args);
  }
}

template <class T>
__global__ void attend_first_kernel(const T* queries, const T* kv, T* context, const uint32_t* offsets, PlainArgs args) {
  const size_t s = blockIdx.x, column = blockIdx.y * args.head_size, stride = 2 * static_cast<size_t>(args.hidden);
  const T* keys = kv + offsets[s] * stride + column;
  attend_plain(queries + s * args.hidden + column, keys, keys + args.hidden, stride, offsets[s + 1] - offsets[s],
               context + s * args.hidden + column, args);
}

PlainArgs plain_args(const AttentionShape& shape) {
  if (shape.head_size > 256) throw Failure{Code::kUnsupported, "heads of more than 256 dimensions"};
  return {shape.head_size, shape.hidden, 1.44269504f / sqrtf(static_cast<float>(shape.head_size))};
}

template <int D, class T>
void launch(const T* qkv, T* context, const QueryTile* tiles, dim3 grid, const AttentionShape& shape,
            cudaStream_t stream) {
  check(cudaFuncSetAttribute(attention_kernel<D, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kSharedBytes<D>)),
        "attention's shared memory");
  attention_kernel<D, T><<<grid, kWarps * 32, kSharedBytes<D>, stream>>>(qkv, context, tiles, shape.hidden,
                                                                         plain_args(shape).scale);
}

// False: no tensor-core kernel for this type and head size.
template <class T>
bool launch_tiles(const T* qkv, T* context, const QueryTile* tiles, dim3 grid, const AttentionShape& shape,
                  cudaStream_t stream) {
  switch (shape.head_size) {
    case 32:
      launch<32>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 64:
      launch<64>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 96:
      launch<96>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 128:
      launch<128>(qkv, context, tiles, grid, shape, stream);
      return true;
    default:
      return false;
  }
}
template <>
bool launch_tiles<float>(const float*, float*, const QueryTile*, dim3, const AttentionShape&, cudaStream_t) {
  return false;
}

}  // namespace

template <class T>
void attend_all(const T* qkv, T* context, const QueryTile* tiles, uint32_t tile_count, const AttentionShape& shape,
                cudaStream_t stream) {
  const dim3 grid(tile_count, shape.heads);
  if (!launch_tiles(qkv, context, tiles, grid, shape, stream))
    attend_all_plain<<<grid, kWarps * 32, 0, stream>>>(qkv, context, tiles, plain_args(shape));
  check(cudaGetLastError(), "attention");
}

template <class T>
void attend_first(const T* queries, const T* kv, T* context, const uint32_t* offsets, uint32_t sequences,
                  const AttentionShape& shape, cudaStream_t stream) {
  attend_first_kernel<<<dim3(sequences, shape.heads), 32, 0, stream>>>(queries, kv, context, offsets, plain_args(shape));
  check(cudaGetLastError(), "attention of first rows");
}

#define RERANK_CUDA_ATTENTION(T)                                                                                     \
  template void attend_all<T>(const T*, T*, const QueryTile*, uint32_t, const AttentionShape&, cudaStream_t);        \
  template void attend_first<T>(const T*, const T*, T*, const uint32_t*, uint32_t, const AttentionShape&,            \
                                cudaStream_t)
RERANK_CUDA_ATTENTION(float);
RERANK_CUDA_ATTENTION(__half);
RERANK_CUDA_ATTENTION(__nv_bfloat16);

}  // namespace rerank::cuda
