// What is computed besides matrix products. T: float, __half or __nv_bfloat16; sums are fp32 always. All run on
// `stream` and return at once; errors of a launch are thrown (device.h).
#pragma once

#include "engine/cuda/device.h"
#include "engine/cuda/kernels/tiles.h"

namespace rerank::engine::cuda {

// to[i] = from[i], converted.
template <class From, class To>
void convert(const From* from, To* to, size_t count, cudaStream_t stream);

struct Tokens {
  const int32_t *ids, *kinds;  // [count]
  const uint32_t* places;      // [count]: the token's number within its sequence
  uint32_t count;
};

// The norm of a row: LayerNorm, or an RMS norm. gamma null: none; beta null: zeros.
struct NormArgs {
  const float *gamma = nullptr, *beta = nullptr;
  float epsilon = 0;
  bool rms = false;
};

template <class T>
struct EmbedArgs {
  const T *words, *positions, *segments;  // tables [rows, width]; positions and segments may be null
  Tokens tokens;
  uint32_t position_offset, width;
  NormArgs norm;
  float* exact;  // [tokens, width] out, and the same as T
  T* rounded;
};
template <class T>
void embed(const EmbedArgs<T>& args, cudaStream_t stream);

// What a part of a block adds to the stream, and the norm that follows. exact [rows, width]:
//   sum = exact + sum_norm(added)                       added null: exact
//   post: exact = norm(sum), rounded = norm(sum)        else: exact = sum, rounded = norm(sum)
// A norm without gamma: none; without `norm` nothing is written to `rounded`, which may be null.
template <class T>
struct ResidualArgs {
  const T* added = nullptr;
  float* exact = nullptr;
  T* rounded = nullptr;
  NormArgs sum_norm = {}, norm = {};
  bool post = false;
};
template <class T>
void residual(const ResidualArgs<T>& args, uint32_t rows, uint32_t width, cudaStream_t stream);

// to [rows, width] = act(gate) * x of both [rows, 2 width], gate and x side by side.
template <class T>
void apply_gate(Act act, const T* both, T* to, uint32_t rows, uint32_t width, cudaStream_t stream);

// to [sequences, width] = the mean of each sequence's rows of from [tokens, width].
struct SequenceRows;
void mean_rows(const float* from, const SequenceRows& of, float* to, uint32_t sequences, uint32_t width,
               cudaStream_t stream);

// x = act(x), exact (erf) GELU. For products whose epilogue cannot.
template <class T>
void activate(Act act, T* x, size_t count, cudaStream_t stream);

// to[s] = from[which[s]], rows of `width`. T may be uint32_t.
template <class T>
void gather_rows(const T* from, const uint32_t* which, T* to, uint32_t rows, uint32_t width, cudaStream_t stream);

// Keys and values, side by side: of a batch's rows, `stride` apart, and those that are kept, `width` apart.
template <class T>
struct KeyRows {
  T* batch;
  uint32_t stride;
  T* kept;
  uint32_t width;
};
// No row is read that is written.
template <class T>
void move_keys(const KeyRows<T>& rows, const KeyMove* moves, uint32_t count, cudaStream_t stream);

// Where sequences lie: [sequences], each sequence's first row, and its rows, one at least.
struct SequenceRows {
  const uint32_t *firsts, *lengths;
};

// pooled [sequences, 3 width] of states [tokens, width]: each sequence's scored row, the mean of those after its first
// row among its first queries[s], the mean of the rest; a mean of none is 0.
void pool(const float* states, const SequenceRows& of, const uint32_t* scored, const uint32_t* queries, float* pooled,
          uint32_t sequences, uint32_t width, cudaStream_t stream);

// Relative positions: rows of tables by distance, the query's position minus the key's, from -reach to reach; what is
// farther away is as the outermost. Null: there is none.
struct RelativeRows {
  const float *keys, *queries;  // [2 reach + 1][hidden]: queries are multiplied by the first, keys by the second
  const float* bias;            // [heads][2 reach + 1], added to scores
  uint32_t reach;
};

struct AttentionShape {
  uint32_t heads, kv_heads, head_size;
  uint32_t query_stride, key_stride;  // from one row of queries, of keys and of values, to the next
  uint32_t window = 0;                // only keys at most so many positions away, of causal attention the last so many
  bool causal = false;
  bool global_first = false;      // windows of attention that is not causal also have each sequence's first key
  const float* slopes = nullptr;  // [heads], ALiBi: what each position away takes off a score; null: nothing
  float scale = 0;                // of products of queries and keys; 0: 1 / sqrt(head_size)
  float softcap = 0;              // scores are cap x tanh(score / cap); 0: not
  RelativeRows relative = {};
  bool group_products = false;           // by wgmma, where the device has it and heads have 64 or 128 dimensions
  uint32_t tile_queries = kTileQueries;  // of the tiles; more only with group_products and without a pattern
};

// The first head's columns of the first row.
template <class T>
struct AttentionInput {
  const T *queries, *keys, *values;
  T* context;  // [rows, heads x head_size] out
};

// In place, of queries and keys that lie side by side: an RMS norm of each head (gammas [head_size], or null), then
// RoPE (angles [positions][2][head_size / 2], or null): pair (c, c + head_size / 2) by its position's angle.
struct HeadRotation {
  uint32_t stride;              // from row to row
  uint32_t query_heads, heads;  // heads of queries, and of queries and keys together
  uint32_t head_size;           // a multiple of 8
  const float *query_gamma, *key_gamma;
  float epsilon;
  const float* angles;
  const uint32_t* positions;  // of each row
};
template <class T>
void rotate(T* x, const HeadRotation& rotation, uint32_t rows, cudaStream_t stream);

// Of all rows. Tensor cores where the type and the head size (32, 48, 64, 96, 128, 256) allow; else, and with products
// of relative positions, plain. Tiles may be without rows.
template <class T>
void attend_all(const AttentionInput<T>& in, const QueryTile* tiles, uint32_t tile_count, const AttentionShape& shape,
                cudaStream_t stream);

// Of one query for each sequence: its run, and the query's position in it. Queries and context have a row for each.
struct ScoredRows {
  const Run* runs;
  const uint32_t* positions;
};
template <class T>
void attend_scored(const AttentionInput<T>& in, const ScoredRows& of, uint32_t sequences, const AttentionShape& shape,
                   cudaStream_t stream);

// logits[s] of rows [sequences, width]: what the dense layer gives before its activation (activated), or what the head
// reads as it is; a norm between, where it has gamma: then `rows` is overwritten.
struct HeadArgs {
  float* rows;
  bool activated;
  Act act;
  NormArgs norm;
  const float *weight, *bias;
  float softcap;  // of each label's output; 0: none
  float* logits;
  uint32_t width, labels;
};
void head_logits(const HeadArgs& args, uint32_t sequences, cudaStream_t stream);

}  // namespace rerank::engine::cuda
