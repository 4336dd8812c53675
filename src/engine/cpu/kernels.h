// The vector kernels of one instruction tier, as a table of functions: picked once at start, named in logs. Everything
// numeric the CPU forward does goes through here; kernels.cc compiles one table per tier with Highway.
//
// Matrices are row-major fp32; a stride is the distance between rows in elements. Rows may be read and written up to the
// next multiple of `tile_columns` behind their last column: buffers are padded so (PaddedMatrix in buffers.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace rerank::cpu {

// A weight matrix W [out, in] as the micro-kernel reads it: panels of `tile_columns` output columns; within a panel, for
// each input k, the panel's values side by side. Columns behind `out` are zero.
struct PackedMatrix {
  const float* panels = nullptr;  // panel p starts at panels + p * tile_columns * in
  const float* bias = nullptr;    // [out], padded with zeros to whole panels; null: none
  size_t out = 0;
  size_t in = 0;
};

// C[rows, panels * tile_columns] = A[rows, in] W^T + bias (+ residual). A residual may be C itself.
struct MatMulArgs {
  const float* a = nullptr;
  size_t a_stride = 0;
  size_t rows = 0;
  const PackedMatrix* weights = nullptr;
  size_t first_panel = 0, last_panel = 0;  // [first, last)
  const float* residual = nullptr;         // read at C's position, with C's stride
  float* c = nullptr;                      // column 0 of panel 0
  size_t c_stride = 0;
};

// Attention of the rows [first_row, last_row) of one sequence and one head, over all `length` keys.
struct AttentionArgs {
  const float* queries = nullptr;  // row `first_row`, first column of the head
  size_t query_stride = 0;
  size_t query_rows = 0;
  const float* keys = nullptr;     // row 0 of the sequence
  const float* values = nullptr;
  size_t key_stride = 0;           // of keys and values
  size_t length = 0;
  size_t head_size = 0;
  float scale = 1;                 // 1 / sqrt(head_size)
  float* context = nullptr;        // like queries
  size_t context_stride = 0;
  float* scratch = nullptr;        // attention_scratch(length, head_size) floats, 64-byte aligned
};

struct KernelTable {
  const char* name;      // "avx512", "avx2", "portable"
  size_t tile_rows;      // rows of the micro-kernel
  size_t tile_columns;   // columns of a panel

  // W [out, in] -> panels (whole panels * in floats).
  void (*pack)(const float* weight, size_t out, size_t in, size_t stride, float* panels);
  void (*matmul)(const MatMulArgs& args);
  size_t (*attention_scratch)(size_t length, size_t head_size);
  void (*attention)(const AttentionArgs& args);
  // x = activation(x), n values. gelu: |error| <= 7e-7 for |x| <= 6, relative 1e-6 beyond; exp within 1.2e-7 relative.
  void (*gelu)(float* x, size_t n);
  void (*gelu_tanh)(float* x, size_t n);
  void (*silu)(float* x, size_t n);
  void (*relu)(float* x, size_t n);
  // x = (x - mean) / sqrt(variance + epsilon) * gamma + beta, in two passes.
  void (*layer_norm)(float* x, size_t n, const float* gamma, const float* beta, float epsilon);
};

// The tiers compiled into this program, best first. Whether this CPU runs one is for can_run() to say.
std::span<const KernelTable* const> compiled_kernels();
bool can_run(const KernelTable& table);

}  // namespace rerank::cpu
