// The two ways in which four warps multiply a tile of 64 queries with a tile of keys, and their powers with the values:
// how tiles lie in shared memory, and the products.
//   kKeys                    of a tile
//   kPeriod                  rows after which places repeat
//   kKeepsQueries            they are in registers (QueryRegisters), else in shared memory
#pragma once

#include "engine/cuda/attention/scores.h"

namespace rerank::engine::cuda {

// A warp's sixteen queries in registers, as left operands of products.
template <int D, class T>
struct QueryRegisters {
  unsigned parts[D / 16][4];
};

// Each warp its 16 queries, with mma.sync. Rows have 16 bytes more than their D values, so that the eight rows that
// ldmatrix reads at once lie in different banks. Heads of more than 128 have no registers for their queries, which are
// read from shared memory for each tile; and tiles of 32 keys.
template <int D, class T>
struct WarpProducts {
  static constexpr bool kKeepsQueries = D <= 128;  // in registers
  static constexpr int kKeys = kKeepsQueries ? 64 : 32;
  static constexpr int kRow = D + 8, kTile = kKeys * kRow;  // numbers
  static constexpr int kPeriod = 1;
  static constexpr size_t kAlignment = 16;

  static __device__ uint32_t place(uint32_t row, uint32_t column) { return row * kRow + column; }

  static __device__ void wait_for_tiles() { wait_for_copies<0>(); }

  // `queries`: in registers, or the warp's first in shared memory.
  template <class Queries>
  static __device__ void score(float (&scores)[kKeys / 8][4], const Queries& queries, const T* keys) {
    const int lane = threadIdx.x % 32, part = lane / 8, row = lane % 8;
    each_score(scores, [](float& score, int, int) { score = 0; });
    const auto multiply = [&](int n, int k, const unsigned(&a)[4]) {
      unsigned b[4];
      load_matrices(b, keys + place(n * 16 + part / 2 * 8 + row, k * 16 + part % 2 * 8));
      multiply_add<T>(scores[2 * n], a, b[0], b[1]);
      multiply_add<T>(scores[2 * n + 1], a, b[2], b[3]);
    };
    if constexpr (kKeepsQueries) {
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
#pragma unroll
        for (int k = 0; k < D / 16; ++k) multiply(n, k, queries.parts[k]);
      }
    } else {
#pragma unroll
      for (int k = 0; k < D / 16; ++k) {
        unsigned a[4];
        load_matrices(a, queries + place(lane % 16, k * 16 + lane / 16 * 8));
#pragma unroll
        for (int n = 0; n < kKeys / 16; ++n) multiply(n, k, a);
      }
    }
  }

  static __device__ void add_values(Accumulator<D>& acc, float (&scores)[kKeys / 8][4], float scale,
                                    const float (&largest)[2], const T* values) {
    const int lane = threadIdx.x % 32, part = lane / 8, row = lane % 8;
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n) {
      unsigned a[4];
      raise<D, T>(acc, scores, n, scale, largest, a);
#pragma unroll
      for (int d = 0; d < D / 16; ++d) {
        unsigned b[4];
        load_matrices_transposed(b, values + place(n * 16 + part % 2 * 8 + row, d * 16 + part / 2 * 8));
        multiply_add<T>(acc.out[2 * d], a, b[0], b[1]);
        multiply_add<T>(acc.out[2 * d + 1], a, b[2], b[3]);
      }
    }
  }
};

// Four warps together, with wgmma (compute capability 9.0 only), which reads keys and values from shared memory itself:
// no ldmatrix, 4 + 4 instructions a tile where mma.sync has 64 + 36 at heads of 64, and twice the rate. Tiles lie as it
// wants them with a swizzle of 128 bytes (PTX ISA, "Strides" and "Swizzling modes"; CUTLASS' mma_traits_sm90_gmma.hpp):
// blocks of 64 rows of 64 numbers, in each row the eight 16-byte pieces at their number xor (row mod 8). Keys are the
// right operand as they lie (K-major: 1024 bytes from eight rows to the next eight); values are transposed (MN-major:
// 1024 bytes from eight keys to the next, a block from 64 dimensions to the next).
// Copies stay cp.async, not TMA: keys lie in two places where there is a prefix, and rows after the end of a sequence
// are another sequence's.
template <int D, class T>
struct GroupProducts {
  static_assert(D % 64 == 0 && D <= 128);
  static constexpr bool kKeepsQueries = true;
  static constexpr int kKeys = 64, kPeriod = 8;
  static constexpr int kRow = 64, kBlock = 64 * kRow, kTile = D / 64 * kBlock;  // numbers
  static constexpr size_t kAlignment = 1024;
  static constexpr uint32_t kEightRows = 8 * kRow * 2, kNextBlock = kBlock * 2;  // bytes

  static __device__ uint32_t place(uint32_t row, uint32_t column) {
    return column / 64 * kBlock + row * kRow + ((column % 64 / 8) ^ (row % 8)) * 8 + column % 8;
  }

  static __device__ void wait_for_tiles() {
    wait_for_copies<0>();
    show_to_group_products();
  }

  static __device__ void score(float (&scores)[kKeys / 8][4], const QueryRegisters<D, T>& queries, const T* keys) {
    begin_group_products();
#pragma unroll
    for (int k = 0; k < D / 16; ++k) {
      const T* from = keys + k / 4 * kBlock + k % 4 * 16;
      group_multiply_add<false, T>(scores, queries.parts[k], shared_operand(from, kNextBlock, kEightRows), k > 0);
    }
    end_group_products();
  }

  static __device__ void add_values(Accumulator<D>& acc, float (&scores)[kKeys / 8][4], float scale,
                                    const float (&largest)[2], const T* values) {
    unsigned powers[kKeys / 16][4];
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n) raise<D, T>(acc, scores, n, scale, largest, powers[n]);
    begin_group_products();
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n)
      group_multiply_add<true, T>(acc.out, powers[n], shared_operand(values + n * 16 * kRow, kNextBlock, kEightRows),
                                  true);
    end_group_products();
  }
};

}  // namespace rerank::engine::cuda
