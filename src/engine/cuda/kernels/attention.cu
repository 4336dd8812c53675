// Attention of packed sequences. Every tile of 64 queries walks over the keys of its own sequence alone, 64 at a time,
// with the running maximum and sum of Milakov and Gimelshein 2018 (arXiv:1805.02867), so that no scores are kept:
//   m' = max(m, max s)   l' = l 2^(m - m') + sum 2^(s - m')   o' = o 2^(m - m') + 2^(s - m') v
// Scores are taken as powers of two: their scale has log2(e) in it.
//
// The kernel is bound by how many instructions a processor starts, not by its tensor cores. So whatever can be known
// when it is compiled is: copies are unrolled and guarded by a predicate, the scale goes into the same instruction as
// the maximum, and only tiles at the edge of the sequence (or of a causal mask) ask which keys are there. Windows,
// ALiBi, relative biases and caps have an instance of their own (kGeneral).
//
// A warp has 16 queries. Layouts of mma.m16n8k16 (PTX ISA, "Matrix fragments"): lane = 4 g + t holds rows g and g + 8,
// columns 2t and 2t + 1 of each 8 x 8 part. Two neighbouring 8-wide parts of the scores are so, without moving
// anything, the left operand of the product with the values.
#include "engine/cuda/kernels/attention.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kTileKeys = 64;
static_assert(kTileQueries == 16 * kWarps);

__device__ inline unsigned pack(float low, float high, __half) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
}
__device__ inline unsigned pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
}

// A tile in shared memory: 64 rows of D values and 16 bytes, so that the eight rows that ldmatrix reads at once lie in
// different banks.
template <int D>
inline constexpr int kStride = D + 8;

// body(row of the tile, column, place in shared memory) of the 16-byte pieces that this thread copies.
template <int D, class Body>
__device__ inline void each_piece(const Body& body) {
  constexpr int kPieces = D / 8, kThreads = kWarps * 32;
  const uint32_t thread = thread_again();  // so that nothing made of it lies in registers meanwhile
#pragma unroll
  for (int i = 0; i < 64 * kPieces / kThreads; ++i) {
    if constexpr (kThreads % kPieces == 0) {  // whole rows at a time: what differs is known when this is compiled
      const uint32_t row = thread / kPieces, column = thread % kPieces * 8;
      body(row + i * (kThreads / kPieces), column, row * kStride<D> + column + i * (kThreads / kPieces) * kStride<D>);
    } else {
      const uint32_t piece = thread + i * kThreads, row = piece / kPieces, column = piece % kPieces * 8;
      body(row, column, row * kStride<D> + column);
    }
  }
}

// What one warp knows of its 16 queries; [2]: rows g and g + 8.
template <int D>
struct Accumulator {
  float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
  float out[D / 8][4] = {};
};

struct KeyTile {
  uint32_t first;        // its first key's position
  uint32_t first_query;  // of the block
  uint32_t end;          // of keys that are there
  bool edge;             // some of its keys are not seen by some of the block's queries

  // The position of row g + 8 r.
  __device__ int query(int r) const {
    return static_cast<int>(first_query + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + r * 8);
  }
};

// body(score, row's half r, key's number in the tile) of the scores that this lane has.
template <class Body>
__device__ inline void each_score(float (&scores)[kTileKeys / 8][4], const Body& body) {
  const int column = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) body(scores[n][i], i / 2, n * 8 + i % 2 + column);
  }
}

// Scores that are not seen become -inf.
__device__ inline void mask_edge(float (&scores)[kTileKeys / 8][4], const KeyTile& tile, bool causal) {
  int seen[2];
#pragma unroll
  for (int r = 0; r < 2; ++r)
    seen[r] = (causal ? min(tile.query(r) + 1, static_cast<int>(tile.end)) : static_cast<int>(tile.end)) -
              static_cast<int>(tile.first);
  each_score(scores, [&](float& score, int r, int key) {
    if (key >= seen[r]) score = -INFINITY;
  });
}

// x with |x| below the cap: cap tanh(x / cap), by tanh(y) = 1 - 2 / (1 + e^2y). factor: 2 log2(e) / cap.
__device__ inline float capped(float x, float cap, float factor) {
  return cap - 2 * cap * reciprocal_fast(1 + exp2_fast(x * factor));
}

// What a pattern makes of scores, one question at a time for all of them. A key is seen where its distance, the query's
// position minus its own, is in a range; distances are exact in fp32.
__device__ inline void apply_pattern(float (&scores)[kTileKeys / 8][4], const KeyTile& tile, const KernelArgs& args) {
  const AttentionMask mask = mask_of(args);
  each_score(scores, [&](float& score, int, int) { score *= args.scale; });
  if (args.cap != 0) {
    const float cap = args.cap * kLog2E, factor = 2 * kLog2E / cap;
    each_score(scores, [&](float& score, int, int) { score = capped(score, cap, factor); });
  }
  if (mask.relative.bias != nullptr) {
    const float* bias = mask.relative.bias + blockIdx.y * (2 * mask.relative.reach + 1);
    each_score(scores, [&](float& score, int r, int key) {
      score += kLog2E * bias[mask.relative_row(tile.query(r), tile.first + key)];
    });
  }
  const float window = static_cast<float>(args.window);
  float distance[2], least[2];
  const float most = args.window == 0 ? INFINITY : args.causal ? window - 1 : window;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const float query = static_cast<float>(tile.query(r));
    distance[r] = query - static_cast<float>(tile.first);
    least[r] = fmaxf(args.causal ? 0.0f : -most, query - static_cast<float>(tile.end) + 1);
  }
  if (mask.slope != 0) {
    each_score(scores, [&](float& score, int r, int key) {
      score -= mask.slope * fabsf(distance[r] - static_cast<float>(key));
    });
  }
  each_score(scores, [&](float& score, int r, int key) {
    const float own = distance[r] - static_cast<float>(key);
    if (own < least[r] || own > most) score = -INFINITY;
  });
}

// Scores of a tile of keys, raised to powers and added up with their values.
template <int D, bool kGeneral, class T>
__device__ inline void attend_tile(Accumulator<D>& acc, const unsigned (&queries)[D / 16][4], const T* keys,
                                   const T* values, const KeyTile& tile, const KernelArgs& args) {
  const int lane = threadIdx.x % 32, part = lane / 8, row = lane % 8;
  float scores[kTileKeys / 8][4] = {};
#pragma unroll
  for (int n = 0; n < kTileKeys / 16; ++n) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
      unsigned b[4];
      load_matrices(b, keys + (n * 16 + part / 2 * 8 + row) * kStride<D> + k * 16 + part % 2 * 8);
      multiply_add<T>(scores[2 * n], queries[k], b[0], b[1]);
      multiply_add<T>(scores[2 * n + 1], queries[k], b[2], b[3]);
    }
  }
  if constexpr (kGeneral) {
    apply_pattern(scores, tile, args);
  } else if (tile.edge) {
    mask_edge(scores, tile, args.causal);
  }
  const float scale = kGeneral ? 1.0f : args.scale;
  float largest[2] = {acc.largest[0], acc.largest[1]};
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {  // over the four lanes that share a row
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 1));
    largest[r] = fmaxf(largest[r], __shfl_xor_sync(0xffffffffu, largest[r], 2));
    const float before = acc.largest[r];
    acc.largest[r] = largest[r];
    // Without a pattern every query sees the first key. With a window there may be none in this tile yet.
    largest[r] = kGeneral && largest[r] == -INFINITY ? 0.0f : largest[r] * scale;
    const float faded = exp2_fast(before * scale - largest[r]);
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
        s[i] = exp2_fast(s[i] * scale - largest[i / 2]);
        acc.sum[i / 2] += s[i];
      }
      a[2 * half] = pack(s[0], s[1], T());
      a[2 * half + 1] = pack(s[2], s[3], T());
    }
#pragma unroll
    for (int d = 0; d < D / 16; ++d) {
      unsigned b[4];
      load_matrices_transposed(b, values + (n * 16 + part % 2 * 8 + row) * kStride<D> + d * 16 + part / 2 * 8);
      multiply_add<T>(acc.out[2 * d], a, b[0], b[1]);
      multiply_add<T>(acc.out[2 * d + 1], a, b[2], b[3]);
    }
  }
}

template <int D, class T>
__device__ inline void store(Accumulator<D>& acc, T* context, const QueryTile& tile, const KernelArgs& args) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    acc.sum[r] += __shfl_xor_sync(0xffffffffu, acc.sum[r], 1);
    acc.sum[r] += __shfl_xor_sync(0xffffffffu, acc.sum[r], 2);
    const uint32_t query = tile.first_query + warp * 16 + lane / 4 + r * 8;
    if (query >= tile.length) continue;
    const float scale = 1.0f / acc.sum[r];
    T* row = context + static_cast<size_t>(tile.begin + query) * args.context_stride + blockIdx.y * D + lane % 4 * 2;
#pragma unroll
    for (int d = 0; d < D / 8; ++d)
      *reinterpret_cast<unsigned*>(row + d * 8) = pack(acc.out[d][2 * r] * scale, acc.out[d][2 * r + 1] * scale, T());
  }
}

template <int D>
constexpr size_t kSharedBytes = size_t{4} * 64 * kStride<D> * 2;  // two tiles of keys, two of values

// Of a processor, by registers: four at 128 of them, where there are heads of up to 64.
template <int D, bool kGeneral>
constexpr int kBlocks = D <= 32   ? 4
                        : D <= 64 ? 4 - kGeneral
                                  : 2;

// One block: a tile of queries (blockIdx.x) of one head (blockIdx.y). While a tile of keys and values is computed the
// next one is on its way. Queries go through the place of the second tile of keys into registers.
template <int D, bool kGeneral, class T>
__global__ void __launch_bounds__(kWarps * 32, kBlocks<D, kGeneral>)
    attention_kernel(AttentionInput<T> in, const QueryTile* tiles, KernelArgs args) {
  constexpr int kTile = 64 * kStride<D>;
  T* shared = shared_memory<T>();
  const QueryTile tile = tiles[blockIdx.x];
  if (tile.length == 0) return;  // it fills up a class of batches
  const uint32_t total = tile.prefix_length + tile.length, first_query = tile.prefix_length + tile.first_query;
  const uint32_t head = blockIdx.y / args.group * D;  // of keys and values
  // What makes rows of positions: before and behind the end of the prefix (row_of()).
  const uint32_t prefix = tile.prefix_length, shift = tile.prefix_begin, own_shift = tile.begin - prefix;
  const auto fetch = [&](uint32_t first, T* to) {
    each_piece<D>([&](uint32_t row, uint32_t column, uint32_t place) {
      const uint32_t position = first + row, from_row = position + (position < prefix ? shift : own_shift);
      const size_t from = static_cast<size_t>(from_row) * args.key_stride + (head + column);
      const bool there = position < total;
      copy_16_bytes(to + place, in.keys + from, there);
      copy_16_bytes(to + 2 * kTile + place, in.values + from, there);
    });
    commit_copies();
  };
  each_piece<D>([&](uint32_t row, uint32_t column, uint32_t place) {
    const size_t from = static_cast<size_t>(tile.begin + tile.first_query + row) * args.query_stride + blockIdx.y * D;
    copy_16_bytes(shared + kTile + place, in.queries + from + column, tile.first_query + row < tile.length);
  });
  uint32_t begin = 0, end = args.causal ? min(first_query + kTileQueries, total) : total;
  if constexpr (kGeneral) {
    const AttentionMask mask = mask_of(args);
    begin = mask.first_key(first_query) / kTileKeys * kTileKeys;
    end = mask.end(min(first_query + kTileQueries, total) - 1, total);
  }
  fetch(begin, shared);
  wait_for_copies<0>();
  __syncthreads();
  unsigned queries[D / 16][4];
#pragma unroll
  for (int k = 0; k < D / 16; ++k) {
    const int row = threadIdx.x / 32 * 16 + threadIdx.x % 16, column = k * 16 + threadIdx.x % 32 / 16 * 8;
    load_matrices(queries[k], shared + kTile + row * kStride<D> + column);
  }
  __syncthreads();  // before the next keys take their place

  Accumulator<D> acc;
  uint32_t slot = 0;  // its first number, of the tile of keys
#pragma unroll 1
  for (uint32_t first = begin; first < end; first += kTileKeys, slot = kTile - slot) {
    const bool more = first + kTileKeys < end;
    if (more) fetch(first + kTileKeys, shared + (kTile - slot));
    const KeyTile key_tile = {first, first_query, total, first + kTileKeys > (args.causal ? first_query + 1 : total)};
    attend_tile<D, kGeneral>(acc, queries, shared + slot, shared + 2 * kTile + slot, key_tile, args);
    if (more) wait_for_copies<0>();
    __syncthreads();  // the next tile is there, and this one's place may be written
  }
  store<D>(acc, in.context, tiles[blockIdx.x], args);  // read again rather than kept in registers
}

template <int D, bool kGeneral, class T>
void launch_tiles_of(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                     cudaStream_t stream) {
  if (kSharedBytes < D >> (48u << 10))
    check(cudaFuncSetAttribute(attention_kernel<D, kGeneral, T>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(kSharedBytes<D>)),
          "attention's shared memory");
  launch("attention", attention_kernel<D, kGeneral, T>, {grid, kWarps * 32, kSharedBytes<D>, stream}, in, tiles, args);
}

template <int D, class T>
void launch_size(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                 cudaStream_t stream) {
  const bool general = args.window != 0 || args.slopes != nullptr || args.cap != 0 || args.relative.bias != nullptr;
  general ? launch_tiles_of<D, true>(in, tiles, grid, args, stream)
          : launch_tiles_of<D, false>(in, tiles, grid, args, stream);
}

// False: no tensor-core kernel for this type and head size.
template <class T>
bool launch_tiles(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                  cudaStream_t stream) {
  if constexpr (sizeof(T) == 2) {
    switch (args.head_size) {
      case 32:
        launch_size<32>(in, tiles, grid, args, stream);
        return true;
      case 64:
        launch_size<64>(in, tiles, grid, args, stream);
        return true;
      case 96:
        launch_size<96>(in, tiles, grid, args, stream);
        return true;
      case 128:
        launch_size<128>(in, tiles, grid, args, stream);
        return true;
      default:
        return false;
    }
  }
  return false;
}

}  // namespace

KernelArgs kernel_args(const AttentionShape& shape) {
  if (shape.head_size > kMostHeadSize || shape.head_size % 8 != 0)
    throw Failure{Code::kUnsupported, "heads of more than 256 dimensions, or not a multiple of 8"};
  const float scale = shape.scale != 0 ? shape.scale : 1 / sqrtf(static_cast<float>(shape.head_size));
  return {shape.head_size,
          shape.heads / shape.kv_heads,
          shape.query_stride,
          shape.key_stride,
          shape.heads * shape.head_size,
          kLog2E * scale,
          shape.softcap,
          shape.window,
          shape.causal,
          shape.slopes,
          shape.relative,
          shape.heads * shape.head_size};
}

template <class T>
void attend_all(const AttentionInput<T>& in, const QueryTile* tiles, uint32_t tile_count, const AttentionShape& shape,
                cudaStream_t stream) {
  const dim3 grid(tile_count, shape.heads);
  const KernelArgs args = kernel_args(shape);
  const bool plain = shape.relative.keys != nullptr || shape.relative.queries != nullptr;
  if (plain || !launch_tiles(in, tiles, grid, args, stream)) attend_all_plain(in, tiles, grid, args, stream);
}

template void attend_all<float>(const AttentionInput<float>&, const QueryTile*, uint32_t, const AttentionShape&,
                                cudaStream_t);
template void attend_all<__half>(const AttentionInput<__half>&, const QueryTile*, uint32_t, const AttentionShape&,
                                 cudaStream_t);
template void attend_all<__nv_bfloat16>(const AttentionInput<__nv_bfloat16>&, const QueryTile*, uint32_t,
                                        const AttentionShape&, cudaStream_t);

}  // namespace rerank::engine::cuda
