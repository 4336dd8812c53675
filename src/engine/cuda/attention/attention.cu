// Attention of packed sequences. Every tile of queries walks over the keys of its own sequence alone, tile by tile,
// with the running maximum and sum of Milakov and Gimelshein 2018 (arXiv:1805.02867), so that no scores are kept:
//   m' = max(m, max s)   l' = l 2^(m - m') + sum 2^(s - m')   o' = o 2^(m - m') + 2^(s - m') v
// Scores are taken as powers of two: their scale has log2(e) in it.
//
// The kernel is bound by how many instructions a processor starts, not by its tensor cores. So whatever can be known
// when it is compiled is: copies are unrolled and guarded by a predicate, the scale goes into the same instruction as
// the maximum, and only tiles at the edge of the sequence (or of a causal mask) ask which keys are there. Windows,
// ALiBi, relative biases and caps have an instance of their own (kGeneral).
//
// A warp has 16 queries. Two neighbouring 8-wide parts of the scores are, without moving anything, the left operand of
// the product with the values. Products are mma.sync's, or wgmma's on compute capability 9.0 (products.h). A block has
// one group of four warps, or with wgmma two, of 64 queries each, which read the same tiles of keys and values.
#include "engine/cuda/attention/products.h"

namespace rerank::engine::cuda {
namespace {

// Threads of a group.
constexpr int kGroup = kWarps * 32;

// body(row of the tile of kRows, column, place in shared memory) of the 16-byte pieces that this thread of kThreads
// copies.
template <int D, int kRows, class Products, int kThreads, class Body>
__device__ inline void each_piece(const Body& body) {
  constexpr int kPieces = D / 8;
  const uint32_t thread = thread_again();  // so that nothing made of it lies in registers meanwhile
#pragma unroll
  for (int i = 0; i < kRows * kPieces / kThreads; ++i) {
    constexpr int kStep = kThreads / kPieces;  // rows
    if constexpr (kThreads % kPieces == 0 && kStep % Products::kPeriod == 0) {
      // Whole rows at a time: what differs is known when this is compiled.
      const uint32_t row = thread / kPieces, column = thread % kPieces * 8;
      body(row + i * kStep, column, Products::place(row, column) + i * kStep * Products::kRow);
    } else {
      const uint32_t piece = thread + i * kThreads, row = piece / kPieces, column = piece % kPieces * 8;
      body(row, column, Products::place(row, column));
    }
  }
}

// Scores of a tile of keys, raised to powers and added up with their values.
template <class Products, int D, bool kGeneral, class Queries, class T>
__device__ inline void attend_tile(Accumulator<D>& acc, const Queries& queries, const T* keys, const T* values,
                                   const KeyTile& tile, const KernelArgs& args) {
  float scores[Products::kKeys / 8][4], largest[2];
  Products::score(scores, queries, keys);
  if constexpr (kGeneral) {
    apply_pattern(scores, tile, args);
  } else if (tile.edge) {
    mask_edge(scores, tile, args.causal);
  }
  const float scale = kGeneral ? 1.0f : args.scale;
  fade<D, kGeneral>(acc, scores, scale, largest);
  Products::add_values(acc, scores, scale, largest, values);
}

// Two tiles of keys, two of values, queries that stay there, and what their alignment may take.
template <class Products>
constexpr size_t kSharedBytes = size_t{2} * (4 * Products::kTile +
                                             (Products::kKeepsQueries ? 0 : kTileQueries * Products::kRow)) +
                                Products::kAlignment - 16;

// Of a processor, by registers: four groups at 128 of them, where there are heads of up to 64.
template <int D, bool kGeneral, int kGroups>
constexpr int kBlocks = D <= 32    ? 4
                        : D <= 64  ? (4 - kGeneral) / kGroups
                        : D <= 128 ? 2 / kGroups
                                   : 1;

// Queries go through the places of the second tiles of keys (the first group's) and of values (the second's) into
// registers, where those suffice.
template <class Products>
__device__ constexpr int place_of_queries(int group) {
  return (Products::kKeepsQueries ? 1 + 2 * group : 4) * Products::kTile;
}

template <class Products, int D, int kGroups, class T>
__device__ inline void copy_queries(T* shared, const AttentionInput<T>& in, const QueryTile& tile,
                                    const KernelArgs& args) {
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    each_piece<D, kTileQueries, Products, kGroups * kGroup>([&](uint32_t row, uint32_t column, uint32_t place) {
      const uint32_t query = tile.first_query + group * 64 + row;
      const size_t from = static_cast<size_t>(tile.begin + query) * args.query_stride + blockIdx.y * D;
      copy_16_bytes(shared + place_of_queries<Products>(group) + place, in.queries + from + column,
                    query < tile.length);
    });
  }
}

// First keys of tiles.
struct KeyRange {
  uint32_t begin, ahead, end;  // ahead: the tile after the first one
};

// What a block's queries, of which `first_query` is the first, see of `total` keys.
template <int kKeys, bool kGeneral, int kGroups>
__device__ inline KeyRange keys_of(uint32_t first_query, uint32_t total, const KernelArgs& args) {
  uint32_t begin = 0, end = args.causal ? min(first_query + kGroups * 64, total) : total;
  if constexpr (kGeneral) {
    const AttentionMask mask = mask_of(args);
    begin = mask.first_key(first_query) / kKeys * kKeys;
    end = mask.end(min(first_query + kTileQueries, total) - 1, total);
  }
  uint32_t ahead = begin + kKeys;
  if (kGeneral && args.global_first && begin > 0) {  // the first key's tile comes before those of the window
    ahead = begin;
    begin = 0;
  }
  return {begin, ahead, end};
}

// One block: a tile of queries (blockIdx.x) of one head (blockIdx.y). While a tile of keys and values is computed the
// next one is on its way.
template <class Products, int D, bool kGeneral, int kGroups, class T>
__global__ void __launch_bounds__(kGroups* kGroup, kBlocks<D, kGeneral, kGroups>)
    attention_kernel(AttentionInput<T> in, const QueryTile* tiles, KernelArgs args) {
  constexpr int kTile = Products::kTile, kThreads = kGroups * kGroup, kKeys = Products::kKeys;
  T* shared = aligned<Products::kAlignment>(shared_memory<T>());
  const QueryTile tile = tiles[blockIdx.x];
  if (tile.length == 0) return;  // it fills up a class of batches
  const uint32_t total = tile.prefix_length + tile.length, first_query = tile.prefix_length + tile.first_query;
  const uint32_t head = blockIdx.y / args.group * D;  // of keys and values
  // What makes rows of positions: before and after the end of the prefix (row_of()).
  const uint32_t prefix = tile.prefix_length, shift = tile.prefix_begin, own_shift = tile.begin - prefix;
  const auto fetch = [&](uint32_t first, T* to) {
    each_piece<D, kKeys, Products, kThreads>([&](uint32_t row, uint32_t column, uint32_t place) {
      const uint32_t position = first + row, from_row = position + (position < prefix ? shift : own_shift);
      const size_t from = static_cast<size_t>(from_row) * args.key_stride + (head + column);
      const bool there = position < total;
      copy_16_bytes(to + place, in.keys + from, there);
      copy_16_bytes(to + 2 * kTile + place, in.values + from, there);
    });
    commit_copies();
  };
  copy_queries<Products, D, kGroups>(shared, in, tile, args);
  auto [begin, ahead, end] = keys_of<kKeys, kGeneral, kGroups>(first_query, total, args);
  fetch(begin, shared);
  Products::wait_for_tiles();
  __syncthreads();
  const uint32_t group = kGroups == 1 ? 0 : threadIdx.x / kGroup;
  const T* const own =
      shared + place_of_queries<Products>(group) + threadIdx.x % kGroup / 32 * 16 * Products::kRow;  // of the warp
  QueryRegisters<Products::kKeepsQueries ? D : 16, T> registers;
  if constexpr (Products::kKeepsQueries) {
#pragma unroll
    for (int k = 0; k < D / 16; ++k)
      load_matrices(registers.parts[k], own + Products::place(threadIdx.x % 16, k * 16 + threadIdx.x % 32 / 16 * 8));
    __syncthreads();  // before the next keys take their place
  }

  // A group without queries, and one whose causal mask hides these keys, only copies for the other.
  static_assert(kGroups == 1 || !kGeneral);
  const uint32_t group_first = first_query + group * 64;
  const uint32_t group_end = kGroups == 1           ? end
                             : group_first >= total ? 0
                             : args.causal          ? min(group_first + 64, end)
                                                    : end;
  Accumulator<D> acc;
  uint32_t slot = 0;  // its first number, of the tile of keys
#pragma unroll 1
  for (uint32_t first = begin; first < end; first = ahead, ahead += kKeys, slot = kTile - slot) {
    const bool more = ahead < end;
    if (more) fetch(ahead, shared + (kTile - slot));
    if (kGroups == 1 || first < group_end) {
      const KeyTile keys = {first, first_query, total, first + kKeys > (args.causal ? group_first + 1 : total)};
      const T* const at = shared + slot;
      if constexpr (Products::kKeepsQueries)
        attend_tile<Products, D, kGeneral>(acc, registers, at, at + 2 * kTile, keys, args);
      else
        attend_tile<Products, D, kGeneral>(acc, own, at, at + 2 * kTile, keys, args);
    }
    if (more) Products::wait_for_tiles();
    __syncthreads();  // the next tile is there, and this one's place may be written
  }
  store<D>(acc, in.context, tiles[blockIdx.x], args);  // read again rather than kept in registers
}

template <class Products, int D, bool kGeneral, int kGroups, class T>
void launch_products(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                     cudaStream_t stream) {
  const auto kernel = attention_kernel<Products, D, kGeneral, kGroups, T>;
  constexpr size_t kBytes = kSharedBytes<Products>;
  if (kBytes > (48u << 10))
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes)),
          "attention's shared memory");
  launch("attention", kernel, {grid, kGroups * kGroup, kBytes, stream}, in, tiles, args);
}

template <int D, bool kGeneral, class T>
void launch_tiles_of(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                     bool group_products, cudaStream_t stream) {
  if constexpr (D % 64 == 0 && D <= 128) {
    using Products = GroupProducts<D, T>;
    if constexpr (!kGeneral) {
      if (group_products && args.tile_queries == kLongTileQueries)
        return launch_products<Products, D, kGeneral, 2>(in, tiles, grid, args, stream);
    }
    if (group_products) return launch_products<Products, D, kGeneral, 1>(in, tiles, grid, args, stream);
  }
  launch_products<WarpProducts<D, T>, D, kGeneral, 1>(in, tiles, grid, args, stream);
}

bool is_general(const KernelArgs& args) {
  return args.window != 0 || args.slopes != nullptr || args.cap != 0 || args.relative.bias != nullptr;
}

template <int D, class T>
void launch_size(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                 bool group_products, cudaStream_t stream) {
  is_general(args) ? launch_tiles_of<D, true>(in, tiles, grid, args, group_products, stream)
                   : launch_tiles_of<D, false>(in, tiles, grid, args, group_products, stream);
}

// False: no tensor-core kernel for this type and head size.
template <class T>
bool launch_tiles(const AttentionInput<T>& in, const QueryTile* tiles, dim3 grid, const KernelArgs& args,
                  bool group_products, cudaStream_t stream) {
  if constexpr (sizeof(T) == 2) {
    switch (args.head_size) {
      case 32:
        launch_size<32>(in, tiles, grid, args, group_products, stream);
        return true;
      case 48:
        launch_size<48>(in, tiles, grid, args, group_products, stream);
        return true;
      case 64:
        launch_size<64>(in, tiles, grid, args, group_products, stream);
        return true;
      case 96:
        launch_size<96>(in, tiles, grid, args, group_products, stream);
        return true;
      case 128:
        launch_size<128>(in, tiles, grid, args, group_products, stream);
        return true;
      case 256:
        launch_size<256>(in, tiles, grid, args, group_products, stream);
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
  const float reach = shape.window == 0 ? INFINITY : static_cast<float>(shape.window - shape.causal);
  return {shape.head_size,
          shape.heads / shape.kv_heads,
          shape.query_stride,
          shape.key_stride,
          shape.heads * shape.head_size,
          kLog2E * scale,
          shape.softcap,
          shape.window,
          shape.causal,
          shape.global_first,
          shape.slopes,
          shape.relative,
          shape.heads * shape.head_size,
          shape.tile_queries,
          reach,
          shape.global_first ? INFINITY : reach};
}

template <class T>
void attend_all(const AttentionInput<T>& in, const QueryTile* tiles, uint32_t tile_count, const AttentionShape& shape,
                cudaStream_t stream) {
  const dim3 grid(tile_count, shape.heads);
  const KernelArgs args = kernel_args(shape);
  const bool long_tiles = shape.tile_queries != kTileQueries;
  const bool plain = shape.relative.keys != nullptr || shape.relative.queries != nullptr ||
                     (long_tiles && (is_general(args) || !shape.group_products));
  if (plain || !launch_tiles(in, tiles, grid, args, shape.group_products, stream))
    attend_all_plain(in, tiles, grid, args, stream);
}

template void attend_all<float>(const AttentionInput<float>&, const QueryTile*, uint32_t, const AttentionShape&,
                                cudaStream_t);
template void attend_all<__half>(const AttentionInput<__half>&, const QueryTile*, uint32_t, const AttentionShape&,
                                 cudaStream_t);
template void attend_all<__nv_bfloat16>(const AttentionInput<__nv_bfloat16>&, const QueryTile*, uint32_t,
                                        const AttentionShape&, cudaStream_t);

}  // namespace rerank::engine::cuda
