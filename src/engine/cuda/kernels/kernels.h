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

template <class T>
struct EmbedArgs {
  const T *words, *positions, *segments;  // tables [rows, width]; positions and segments may be null
  Tokens tokens;
  uint32_t position_offset, width;
  const float *gamma, *beta;
  float epsilon;
  float* exact;  // [tokens, width] out, and the same as T
  T* rounded;
};
template <class T>
void embed(const EmbedArgs<T>& args, cudaStream_t stream);

// exact = LayerNorm(exact + added), and the same as T. [rows, width]
template <class T>
void add_norm(const T* added, float* exact, T* rounded, const float* gamma, const float* beta, float epsilon,
              uint32_t rows, uint32_t width, cudaStream_t stream);

// Of a pre-norm block: exact += added, and rounded = LayerNorm(exact), which exact does not become. [rows, width]
template <class T>
void add_rows(const T* added, float* exact, size_t count, cudaStream_t stream);
template <class T>
void norm_to(const float* exact, T* rounded, const float* gamma, const float* beta, float epsilon, uint32_t rows,
             uint32_t width, cudaStream_t stream);

// x = act(gate) * x
template <class T>
void apply_gate(Act act, const T* gate, T* x, size_t count, cudaStream_t stream);

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

// Where sequences lie: [sequences], each sequence's first row, and its rows, one at least.
struct SequenceRows {
  const uint32_t *firsts, *lengths;
};

// pooled [sequences, 3 width] of states [tokens, width]: the first row of each sequence, the mean of the others among
// its first queries[s], the mean of the rest; a mean of none is 0.
void pool(const float* states, const SequenceRows& of, const uint32_t* queries, float* pooled, uint32_t sequences,
          uint32_t width, cudaStream_t stream);

// Relative positions: rows of tables by distance, the query's position minus the key's, from -reach to reach; what is
// farther away is as the outermost. Null: there is none.
struct RelativeRows {
  const float *keys, *queries;  // [2 reach + 1][hidden]: queries are multiplied by the first, keys by the second
  const float* bias;            // [heads][2 reach + 1], added to scores
  uint32_t reach;
};

struct AttentionShape {
  uint32_t heads, head_size, hidden;
  uint32_t window = 0;            // only keys at most so many positions away; 0: all
  const float* slopes = nullptr;  // [heads], ALiBi: what each position away takes off a score; null: nothing
  float scale = 0;                // of products of queries and keys; 0: 1 / sqrt(head_size)
  RelativeRows relative = {};
};

// RoPE in place: each of `heads` heads from the start of every row, rows `stride` apart, pair (c, c + head_size / 2) by
// its position's angle; angles [positions][2][head_size / 2].
template <class T>
void rotate(T* x, size_t stride, uint32_t heads, uint32_t head_size, const float* angles, const QueryTile* tiles,
            uint32_t tile_count, cudaStream_t stream);

// context [tokens, hidden] of qkv [tokens, 3 hidden] (queries, keys, values side by side). Tensor cores where the type
// and the head size (32, 64, 96, 128) allow; else, and with products of relative positions, plain. Tiles may be without
// rows.
template <class T>
void attend_all(const T* qkv, T* context, const QueryTile* tiles, uint32_t tile_count, const AttentionShape& shape,
                cudaStream_t stream);

// context [sequences, hidden] of one query per sequence [sequences, hidden] over kv [tokens, 2 hidden].
template <class T>
void attend_first(const T* queries, const T* kv, T* context, const SequenceRows& of, uint32_t sequences,
                  const AttentionShape& shape, cudaStream_t stream);

// logits[s] of the dense layer's outputs [sequences, width], before its activation; a norm between, where gamma is not
// null: then `dense` is overwritten.
struct HeadArgs {
  float* dense;
  Act act;
  const float *gamma, *beta;
  float epsilon;
  const float *weight, *bias;
  float* logits;
  uint32_t width, labels;
};
void head_logits(const HeadArgs& args, uint32_t sequences, cudaStream_t stream);

}  // namespace rerank::engine::cuda
