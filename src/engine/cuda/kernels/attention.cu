// Attention of packed sequences. Every tile of 64 queries walks over the keys of its own sequence alone, 64 at a time,
// with the running maximum and sum of Milakov and Gimelshein 2018 (arXiv:1805.02867), so that no scores are kept:
//   m' = max(m, max s)   l' = l 2^(m - m') + sum 2^(s - m')   o' = o 2^(m - m') + 2^(s - m') v
// Scores are taken as powers of two: queries' scale has log2(e) in it.
//
// A warp has 16 queries. Layouts of mma.m16n8k16 (PTX ISA, "Matrix fragments"): lane = 4 g + t holds rows g and g + 8,
// columns 2t and 2t + 1 of each 8 x 8 part. Two neighbouring 8-wide parts of the scores are so, without moving
// anything, the left operand of the product with the values.
#include "engine/cuda/kernels/instructions.h"
#include "engine/cuda/kernels/kernels.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kWarps = 4, kTileKeys = 64;
static_assert(kTileQueries == 16 * kWarps);

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
      copy_16_bytes(to, global + row * stride + column);
    } else {
      *reinterpret_cast<uint4*>(to) = uint4{0, 0, 0, 0};
    }
  }
}

constexpr float kLog2E = 1.44269504f;

// Which keys are seen, and what distance takes off their scores.
struct AttentionMask {
  uint32_t window;  // 0: all
  float slope;      // of scores as powers of two
  RelativeRows relative;
  __device__ uint32_t first_key(uint32_t query) const { return window == 0 || query < window ? 0 : query - window; }
  __device__ uint32_t end(uint32_t last_query, uint32_t length) const {
    return window == 0 || length - last_query <= window ? length : last_query + window + 1;
  }
  __device__ bool is_plain() const { return window == 0 && slope == 0 && relative.bias == nullptr; }
  __device__ uint32_t relative_row(uint32_t query, uint32_t key) const {
    const int reach = static_cast<int>(relative.reach), distance = static_cast<int>(query) - static_cast<int>(key);
    return static_cast<uint32_t>(min(max(distance, -reach), reach) + reach);
  }
  __device__ float operator()(float score, uint32_t query, uint32_t key) const {
    const uint32_t distance = query > key ? query - key : key - query;
    if (relative.bias != nullptr)
      score += relative.bias[blockIdx.y * (2 * relative.reach + 1) + relative_row(query, key)] * kLog2E;
    return window != 0 && distance > window ? -INFINITY : score - slope * static_cast<float>(distance);
  }
};

__device__ inline AttentionMask mask_of(uint32_t window, const float* slopes, const RelativeRows& relative) {
  return {window, slopes == nullptr ? 0.0f : slopes[blockIdx.y] * kLog2E, relative};
}

// What one warp knows of its 16 queries; [2]: rows g and g + 8.
template <int D>
struct Accumulator {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  float out[D / 8][4] = {};
};

struct KeyTile {
  uint32_t first, valid;  // its first key's position, keys that are there
  uint32_t query;         // the position of row g
  AttentionMask mask;
};

// Scores of a tile of keys, raised to powers and added up with their values.
template <int D, class T>
__device__ inline void attend_tile(Accumulator<D>& acc, const unsigned (&queries)[D / 16][4], const T* keys,
                                   const T* values, const KeyTile& tile, float scale) {
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
  const float before[2] = {acc.largest[0], acc.largest[1]};
  float largest[2] = {before[0], before[1]};
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool there = static_cast<uint32_t>(n * 8 + lane % 4 * 2 + i % 2) < tile.valid;
      scores[n][i] = there ? scores[n][i] * scale : -INFINITY;
    }
  }
  if (!tile.mask.is_plain()) {
#pragma unroll
    for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        scores[n][i] = tile.mask(scores[n][i], tile.query + i / 2 * 8, tile.first + n * 8 + lane % 4 * 2 + i % 2);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {  // over the four lanes that share a row
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 1));
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 2));
    acc.largest[r] = largest[r];
    if (largest[r] == -INFINITY) largest[r] = 0;  // no key within the window yet
    const float faded = exp2f(before[r] - largest[r]);
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

struct KernelArgs {
  uint32_t head_size, hidden;
  float scale;
  uint32_t window;
  const float* slopes;
  RelativeRows relative;
};

template <int D>
constexpr size_t kSharedBytes = size_t{5} * 64 * (D + 8) * 2;  // queries, two tiles of keys, two of values

// One block: a tile of queries (blockIdx.x) of one head (blockIdx.y). While a tile of keys and values is computed the
// next one is on its way.
template <int D, class T>
__global__ void __launch_bounds__(kWarps * 32)
    attention_kernel(const T* qkv, T* context, const QueryTile* tiles, KernelArgs args) {
  const uint32_t hidden = args.hidden;
  constexpr int kStride = D + 8, kTile = 64 * kStride;
  T* shared = shared_memory<T>();
  const QueryTile tile = tiles[blockIdx.x];
  if (tile.length == 0) return;  // it fills up a class of batches
  const size_t stride = 3 * static_cast<size_t>(hidden);
  const T* sequence = qkv + tile.begin * stride + blockIdx.y * D;
  const auto fetch = [&](uint32_t first, int slot) {
    const uint32_t valid = min(tile.length - first, static_cast<uint32_t>(kTileKeys));
    copy_tile<D>(shared + (1 + slot) * kTile, sequence + hidden + first * stride, stride, valid);
    copy_tile<D>(shared + (3 + slot) * kTile, sequence + 2 * hidden + first * stride, stride, valid);
    commit_copies();
  };
  copy_tile<D>(shared, sequence + tile.first_query * stride, stride, tile.length - tile.first_query);
  const AttentionMask mask = mask_of(args.window, args.slopes, args.relative);
  const uint32_t begin = mask.first_key(tile.first_query) / kTileKeys * kTileKeys;
  const uint32_t end = mask.end(min(tile.first_query + kTileQueries, tile.length) - 1, tile.length);
  fetch(begin, 0);

  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  unsigned queries[D / 16][4];
  Accumulator<D> acc;
  int slot = 0;
  for (uint32_t first = begin; first < end; first += kTileKeys, slot = 1 - slot) {
    const bool more = first + kTileKeys < end;
    if (more) fetch(first + kTileKeys, 1 - slot);
    more ? wait_for_copies<1>() : wait_for_copies<0>();
    __syncthreads();
    if (first == begin) {
#pragma unroll
      for (int k = 0; k < D / 16; ++k)
        load_matrices(queries[k], shared + (warp * 16 + lane % 16) * kStride + k * 16 + lane / 16 * 8);
    }
    attend_tile<D>(acc, queries, shared + (1 + slot) * kTile, shared + (3 + slot) * kTile,
                   {first, min(tile.length - first, static_cast<uint32_t>(kTileKeys)),
                    tile.first_query + warp * 16 + lane / 4, mask},
                   args.scale);
    __syncthreads();  // before the slot is written again
  }
  store<D>(acc, context, tile, hidden, warp);
}

// One warp per query and head, any type, head sizes up to 256 in steps of 8. For checking, and where there is one query
// per sequence. Each lane takes a key of 32, then every 32nd dimension of their values.
constexpr uint32_t kMostHeadSize = 256;

struct PlainMemory {  // of one warp, shared by its lanes
  float query[kMostHeadSize], powers[32];
};

template <class T>
struct alignas(16) Piece {
  T values[8];
};

template <class T>
__device__ inline float score_of(const float* query, const T* key, uint32_t head_size) {
  float score = 0;
  for (uint32_t d = 0; d < head_size; d += 8) {
    const auto piece = *reinterpret_cast<const Piece<T>*>(key + d);
#pragma unroll
    for (int i = 0; i < 8; ++i) score += query[d + i] * to_float(piece.values[i]);
  }
  return score;
}

__device__ inline float largest_of_warp(float x) {
  for (int step = 16; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

__device__ inline float sum_of_warp(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}

struct Span {
  uint32_t query, length;  // the query's position, the sequence's tokens
};

template <class T>
__device__ void attend_plain(const T* query, const T* keys, const T* values, size_t stride, const Span& span,
                             T* context, const KernelArgs& args, PlainMemory& memory) {
  constexpr int kMost = kMostHeadSize / 32;
  const uint32_t lane = threadIdx.x % 32;
  __syncwarp();  // who reads the query before is done
  for (uint32_t d = lane; d < args.head_size; d += 32) memory.query[d] = to_float(query[d]) * args.scale;
  __syncwarp();
  float out[kMost] = {}, largest = -INFINITY, sum = 0;
  const AttentionMask mask = mask_of(args.window, args.slopes, args.relative);
  const uint32_t end = mask.end(span.query, span.length);
  for (uint32_t first = mask.first_key(span.query); first < end; first += 32) {
    const uint32_t count = min(end - first, 32u);
    const bool there = lane < count;
    float score = -INFINITY;
    if (there) {
      score = score_of(memory.query, keys + (first + lane) * stride, args.head_size);
      const size_t row =
          static_cast<size_t>(mask.relative_row(span.query, first + lane)) * args.hidden + blockIdx.y * args.head_size;
      if (args.relative.keys != nullptr) score += score_of(memory.query, args.relative.keys + row, args.head_size);
      if (args.relative.queries != nullptr)
        score += args.scale * score_of(args.relative.queries + row, keys + (first + lane) * stride, args.head_size);
      score = mask(score, span.query, first + lane);
    }
    const float now = fmaxf(largest, largest_of_warp(score)), faded = exp2f(largest - now);
    const float power = exp2f(score - now);
    largest = now;
    sum = sum * faded + power;
    memory.powers[lane] = power;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const uint32_t d = lane + 32 * i;
      if (d >= args.head_size) break;
      out[i] *= faded;
      for (uint32_t j = 0; j < count; ++j) out[i] += memory.powers[j] * to_float(values[(first + j) * stride + d]);
    }
    __syncwarp();  // before the powers are written again
  }
  sum = sum_of_warp(sum);
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const uint32_t d = lane + 32 * i;
    if (d < args.head_size) context[d] = from_float<T>(out[i] / sum);
  }
}

template <class T>
__global__ void attend_all_plain(const T* qkv, T* context, const QueryTile* tiles, KernelArgs args) {
  __shared__ PlainMemory memory[kWarps];
  const QueryTile tile = tiles[blockIdx.x];
  const size_t stride = 3 * static_cast<size_t>(args.hidden), column = blockIdx.y * args.head_size;
  const T* sequence = qkv + tile.begin * stride + column;
  for (uint32_t i = threadIdx.x / 32; i < kTileQueries; i += kWarps) {
    const uint32_t query = tile.first_query + i;
    if (query >= tile.length) return;
    attend_plain(sequence + query * stride, sequence + args.hidden, sequence + 2 * args.hidden, stride,
                 {query, tile.length}, context + static_cast<size_t>(tile.begin + query) * args.hidden + column, args,
                 memory[threadIdx.x / 32]);
  }
}

template <class T>
__global__ void attend_first_kernel(const T* queries, const T* kv, T* context, SequenceRows of, KernelArgs args) {
  __shared__ PlainMemory memory;
  const size_t s = blockIdx.x, column = blockIdx.y * args.head_size, stride = 2 * static_cast<size_t>(args.hidden);
  const T* keys = kv + of.firsts[s] * stride + column;
  attend_plain(queries + s * args.hidden + column, keys, keys + args.hidden, stride, {0, of.lengths[s]},
               context + s * args.hidden + column, args, memory);
}

// One block: a tile of rows (blockIdx.x) of one head (blockIdx.y).
template <class T>
__global__ void rotate_kernel(T* x, size_t stride, uint32_t head_size, const float* angles, const QueryTile* tiles) {
  const QueryTile tile = tiles[blockIdx.x];
  const uint32_t half = head_size / 2, rows = min(tile.length - tile.first_query, kTileQueries);
  for (uint32_t i = threadIdx.x; i < rows * half; i += kWarps * 32) {
    const uint32_t position = tile.first_query + i / half, c = i % half;
    T* head = x + (tile.begin + position) * stride + blockIdx.y * head_size;
    const float* angle = angles + static_cast<size_t>(position) * head_size;
    const float a = to_float(head[c]), b = to_float(head[c + half]), cosine = angle[c], sine = angle[c + half];
    head[c] = from_float<T>(a * cosine - b * sine);
    head[c + half] = from_float<T>(b * cosine + a * sine);
  }
}

KernelArgs kernel_args(const AttentionShape& shape) {
  if (shape.head_size > kMostHeadSize || shape.head_size % 8 != 0)
    throw Failure{Code::kUnsupported, "heads of more than 256 dimensions, or not a multiple of 8"};
  const float scale = shape.scale != 0 ? shape.scale : 1 / sqrtf(static_cast<float>(shape.head_size));
  return {shape.head_size, shape.hidden, kLog2E * scale, shape.window, shape.slopes, shape.relative};
}

template <int D, class T>
void launch_tiles_of(const T* qkv, T* context, const QueryTile* tiles, dim3 grid, const AttentionShape& shape,
                     cudaStream_t stream) {
  check(cudaFuncSetAttribute(attention_kernel<D, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(kSharedBytes<D>)),
        "attention's shared memory");
  launch("attention", attention_kernel<D, T>, {grid, kWarps * 32, kSharedBytes<D>, stream}, qkv, context, tiles,
         kernel_args(shape));
}

// False: no tensor-core kernel for this type and head size.
template <class T>
bool launch_tiles(const T* qkv, T* context, const QueryTile* tiles, dim3 grid, const AttentionShape& shape,
                  cudaStream_t stream) {
  switch (shape.head_size) {
    case 32:
      launch_tiles_of<32>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 64:
      launch_tiles_of<64>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 96:
      launch_tiles_of<96>(qkv, context, tiles, grid, shape, stream);
      return true;
    case 128:
      launch_tiles_of<128>(qkv, context, tiles, grid, shape, stream);
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
  const bool plain = shape.relative.keys != nullptr || shape.relative.queries != nullptr;
  if (plain || !launch_tiles(qkv, context, tiles, grid, shape, stream))
    launch("attention", attend_all_plain<T>, {grid, kWarps * 32, 0, stream}, qkv, context, tiles, kernel_args(shape));
}

template <class T>
void attend_first(const T* queries, const T* kv, T* context, const SequenceRows& of, uint32_t sequences,
                  const AttentionShape& shape, cudaStream_t stream) {
  launch("attention of first rows", attend_first_kernel<T>, {dim3(sequences, shape.heads), 32, 0, stream}, queries, kv,
         context, of, kernel_args(shape));
}

template <class T>
void rotate(T* x, size_t stride, uint32_t heads, uint32_t head_size, const float* angles, const QueryTile* tiles,
            uint32_t tile_count, cudaStream_t stream) {
  launch("turning by position", rotate_kernel<T>, {dim3(tile_count, heads), kWarps * 32, 0, stream}, x, stride,
         head_size, angles, tiles);
}

#define RERANK_CUDA_ATTENTION(T)                                                                                   \
  template void rotate<T>(T*, size_t, uint32_t, uint32_t, const float*, const QueryTile*, uint32_t, cudaStream_t); \
  template void attend_all<T>(const T*, T*, const QueryTile*, uint32_t, const AttentionShape&, cudaStream_t);      \
  template void attend_first<T>(const T*, const T*, T*, const SequenceRows&, uint32_t, const AttentionShape&,      \
                                cudaStream_t)
RERANK_CUDA_ATTENTION(float);
RERANK_CUDA_ATTENTION(__half);
RERANK_CUDA_ATTENTION(__nv_bfloat16);

}  // namespace rerank::engine::cuda
