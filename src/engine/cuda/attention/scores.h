// What a warp does with the scores of a tile of keys (8 kParts), in registers, whichever instructions made them: masks,
// patterns, the running maximum and sum. Lane = 4 g + t holds rows g and g + 8 of its warp's 16 queries, columns 2t and
// 2t + 1 of each 8 x 8 part: the accumulators of mma.m16n8k16 and of wgmma.m64nNk16 (PTX ISA, "Matrix fragments").
#pragma once

#include "engine/cuda/attention/attention.h"

namespace rerank::engine::cuda {

static_assert(kTileQueries == 16 * kWarps);

__device__ inline unsigned pack(float low, float high, __half) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
}
__device__ inline unsigned pack(float low, float high, __nv_bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&both);
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
template <int kParts, class Body>
__device__ inline void each_score(float (&scores)[kParts][4], const Body& body) {
  const int column = threadIdx.x % 4 * 2;
#pragma unroll
  for (int n = 0; n < kParts; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) body(scores[n][i], i / 2, n * 8 + i % 2 + column);
  }
}

// Scores that are not seen become -inf.
template <int kParts>
__device__ inline void mask_edge(float (&scores)[kParts][4], const KeyTile& tile, bool causal) {
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
template <int kParts>
__device__ inline void apply_pattern(float (&scores)[kParts][4], const KeyTile& tile, const KernelArgs& args) {
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
  float distance[2], least[2];
  const float most = args.reach;
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
  // The sequence's first key is the first column of the first tile.
  const float first_most = tile.first == 0 && threadIdx.x % 4 == 0 ? args.first_reach : most;
#pragma unroll
  for (int n = 0; n < kParts; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float own = distance[i / 2] - static_cast<float>(n * 8 + i % 2 + threadIdx.x % 4 * 2);
      if (own < least[i / 2] || own > (n == 0 && i % 2 == 0 ? first_most : most)) scores[n][i] = -INFINITY;
    }
  }
}

// The maximum of each row with these scores, as powers of two; what was added up so far fades by as much as it grew.
template <int D, bool kGeneral, int kParts>
__device__ inline void fade(Accumulator<D>& acc, const float (&scores)[kParts][4], float scale, float (&largest)[2]) {
#pragma unroll
  for (int r = 0; r < 2; ++r) largest[r] = acc.largest[r];
#pragma unroll
  for (int n = 0; n < kParts; ++n) {
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
}

// Scores of 16 keys, raised to powers and added to the sums; `powers`: the left operand of their product with the
// values.
template <int D, class T, int kParts>
__device__ inline void raise(Accumulator<D>& acc, float (&scores)[kParts][4], int n, float scale,
                             const float (&largest)[2], unsigned (&powers)[4]) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float(&s)[4] = scores[2 * n + half];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      s[i] = exp2_fast(s[i] * scale - largest[i / 2]);
      acc.sum[i / 2] += s[i];
    }
    powers[2 * half] = pack(s[0], s[1], T());
    powers[2 * half + 1] = pack(s[2], s[3], T());
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

}  // namespace rerank::engine::cuda
