// What reads a row, norms it and writes it: embeddings, the residual stream's sums and norms.
#include "engine/cuda/kernels/kernels.h"
#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

template <int N, int kThreads, class T>
__global__ void __launch_bounds__(kThreads) embed_kernel(EmbedArgs<T> args) {
  const uint32_t token = own_row(), width = args.width;
  if (token >= args.tokens.count) return;
  const Tokens& t = args.tokens;
  const T* word = args.words + static_cast<size_t>(t.ids[token]) * width;
  const T* position = args.positions == nullptr
                          ? nullptr
                          : args.positions + static_cast<size_t>(args.position_offset + t.places[token]) * width;
  const T* segment = args.segments == nullptr ? nullptr : args.segments + static_cast<size_t>(t.kinds[token]) * width;
  float x[N][8];
  each_octet<N>(width, [&](int i, uint32_t c) {
    load_octet(word + c, x[i]);
    for (const T* other : {position, segment}) {
      if (other == nullptr) continue;
      float more[8];
      load_octet(other + c, more);
#pragma unroll
      for (int j = 0; j < 8; ++j) x[i][j] += more[j];
    }
  });
  if (args.norm.gamma != nullptr) norm_octets(x, args.norm, width);
  const size_t begin = static_cast<size_t>(token) * width;
  each_octet<N>(width, [&](int i, uint32_t c) {
    store_octet(args.exact + begin + c, x[i]);
    store_octet(args.rounded + begin + c, x[i]);
  });
}

template <int N, int kThreads, class T>
__global__ void __launch_bounds__(kThreads) residual_kernel(ResidualArgs<T> args, uint32_t rows, uint32_t width) {
  const uint32_t row = own_row();
  if (row >= rows) return;
  const size_t begin = static_cast<size_t>(row) * width;
  float x[N][8];
  if (args.added != nullptr) {
    each_octet<N>(width, [&](int i, uint32_t c) { load_octet(args.added + begin + c, x[i]); });
    if (args.sum_norm.gamma != nullptr) norm_octets(x, args.sum_norm, width);
    each_octet<N>(width, [&](int i, uint32_t c) {
      float before[8];
      load_octet(args.exact + begin + c, before);
#pragma unroll
      for (int j = 0; j < 8; ++j) x[i][j] += before[j];
      if (!args.post) store_octet(args.exact + begin + c, x[i]);
    });
  } else {
    each_octet<N>(width, [&](int i, uint32_t c) { load_octet(args.exact + begin + c, x[i]); });
  }
  if (args.norm.gamma == nullptr) return;
  norm_octets(x, args.norm, width);
  each_octet<N>(width, [&](int i, uint32_t c) {
    if (args.post) store_octet(args.exact + begin + c, x[i]);
    if (args.rounded != nullptr) store_octet(args.rounded + begin + c, x[i]);
  });
}

}  // namespace

template <class T>
void embed(const EmbedArgs<T>& args, cudaStream_t stream) {
  launch_rows(args.tokens.count, args.width, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("embed", embed_kernel<octets(), threads(), T>, how, args);
  });
}

template <class T>
void residual(const ResidualArgs<T>& args, uint32_t rows, uint32_t width, cudaStream_t stream) {
  launch_rows(rows, width, stream, [&](auto octets, auto threads, const Launch& how) {
    launch("residual", residual_kernel<octets(), threads(), T>, how, args, rows, width);
  });
}

#define RERANK_CUDA_NORMS(T)                                 \
  template void embed<T>(const EmbedArgs<T>&, cudaStream_t); \
  template void residual<T>(const ResidualArgs<T>&, uint32_t, uint32_t, cudaStream_t)
RERANK_CUDA_NORMS(float);
RERANK_CUDA_NORMS(__half);
RERANK_CUDA_NORMS(__nv_bfloat16);

}  // namespace rerank::engine::cuda
