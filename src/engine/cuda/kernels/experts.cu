// Rows are sorted by expert with counts, as in a counting sort, in their own order: what is computed of a row is the
// same wherever it lies, and its parts are added up in the order of experts, so that a score does not depend on what
// else is in the batch. Products of 16-bit numbers are mma.sync's, of tiles of 64 rows and 64 outputs over 64 inputs at
// a time, copied ahead; of fp32 a thread's for each output, for checking.
#include "engine/cuda/kernels/experts.h"

#include "engine/cuda/kernels/rows.h"

namespace rerank::engine::cuda {
namespace {

constexpr int kThreads = 256;

// One thread: a row.
__global__ void choose_kernel(const float* scores, Choices c) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= c.rows) return;
  const float* own = scores + static_cast<size_t>(row) * c.experts;
  uint32_t* expert = c.expert + static_cast<size_t>(row) * c.chosen;
  float* share = c.share + static_cast<size_t>(row) * c.chosen;
  float largest = -INFINITY, sum = 0, kept = 0;
  for (uint32_t e = 0; e < c.experts; ++e) largest = fmaxf(largest, own[e]);
  for (uint32_t e = 0; e < c.experts; ++e) sum += expf(own[e] - largest);
  // The largest not yet chosen, of equal ones the first, goes where its number belongs among those before.
  for (uint32_t i = 0; i < c.chosen; ++i) {
    uint32_t best = kNone;
    for (uint32_t e = 0, next = 0; e < c.experts; ++e) {
      if (next < i && expert[next] == e) {
        ++next;
      } else if (best == kNone || own[e] > own[best]) {
        best = e;
      }
    }
    kept += expf(own[best] - largest);
    uint32_t place = i;
    for (; place > 0 && expert[place - 1] > best; --place) expert[place] = expert[place - 1];
    expert[place] = best;
  }
  for (uint32_t i = 0; i < c.chosen; ++i) share[i] = expf(own[expert[i]] - largest) / (c.normalized ? kept : sum);
}

// One block: an expert.
__global__ void count_kernel(Choices c) {
  __shared__ float shared[33];
  const size_t choices = static_cast<size_t>(c.rows) * c.chosen;
  float own = 0;  // exact: at most 2^24 tokens are a batch, and threads have a part of them each
  for (size_t i = threadIdx.x; i < choices; i += blockDim.x) own += c.expert[i] == blockIdx.x;
  const float all = over_block(own, shared, Sum());
  if (threadIdx.x == 0) c.count[blockIdx.x] = static_cast<uint32_t>(all);
}

// One block: an expert's rows, in order. The last one also marks the tiles that nobody has.
__global__ void place_kernel(Choices c) {
  __shared__ float shared[33];
  __shared__ uint32_t before[kThreads];
  const uint32_t e = blockIdx.x, thread = threadIdx.x;
  const size_t choices = static_cast<size_t>(c.rows) * c.chosen;
  float sum = 0;
  for (uint32_t other = thread; other < e; other += blockDim.x)
    sum += static_cast<float>((c.count[other] + kExpertTile - 1) / kExpertTile);
  const auto first = static_cast<uint32_t>(over_block(sum, shared, Sum()));  // tile
  const uint32_t tiles = (c.count[e] + kExpertTile - 1) / kExpertTile;
  uint32_t next = first * kExpertTile;
  for (size_t begin = 0; begin < choices; begin += blockDim.x) {
    const size_t i = begin + thread;
    const bool mine = i < choices && c.expert[i] == e;
    __syncthreads();  // who reads the last sums is done
    before[thread] = mine;
    __syncthreads();
    for (uint32_t step = 1; step < kThreads; step *= 2) {  // Hillis and Steele 1986
      const uint32_t left = thread >= step ? before[thread - step] : 0;
      __syncthreads();
      before[thread] += left;
      __syncthreads();
    }
    if (mine) {
      const uint32_t place = next + before[thread] - 1;
      c.place[i] = place;
      c.row_at[place] = static_cast<uint32_t>(i / c.chosen);
    }
    next += before[kThreads - 1];
  }
  for (uint32_t place = next + thread; place < (first + tiles) * kExpertTile; place += blockDim.x)
    c.row_at[place] = kNone;
  for (uint32_t t = thread; t < tiles; t += blockDim.x) c.expert_at[first + t] = e;
  if (e + 1 < c.experts) return;
  for (uint32_t t = first + tiles + thread; t < c.tiles; t += blockDim.x) c.expert_at[t] = kNone;
}

template <class T>
struct ProductArgs {
  ExpertProduct<T> product;
  const uint32_t *row_at, *expert_at;
};

template <class T>
__device__ inline const T* input_row(const ProductArgs<T>& args, uint32_t place) {
  const uint32_t row = args.product.placed ? place : args.row_at[place];
  return args.row_at[place] == kNone ? nullptr : args.product.x + static_cast<size_t>(row) * args.product.in;
}

constexpr int kSide = 64,
              kRow = kSide + 8;      // of a tile; its rows in shared memory, apart so that they lie in other banks
constexpr int kPart = kSide * kRow;  // numbers
constexpr int kWarpsOfTile = 4;

// One block: a tile of places (blockIdx.x), 64 outputs (blockIdx.y).
template <class T>
__global__ void __launch_bounds__(32 * kWarpsOfTile) product_kernel(ProductArgs<T> args) {
  const uint32_t expert = args.expert_at[blockIdx.x];
  if (expert == kNone) return;
  T* const shared = shared_memory<T>();  // two parts of x, two of W
  const ExpertProduct<T>& p = args.product;
  const uint32_t first_place = blockIdx.x * kSide, first_out = blockIdx.y * kSide;
  const T* weight = p.weight + static_cast<size_t>(expert) * p.out * p.in;
  const auto fetch = [&](uint32_t k, T* to) {
#pragma unroll
    for (int i = 0; i < kSide * kSide / 8 / (32 * kWarpsOfTile); ++i) {
      const uint32_t piece = threadIdx.x + i * 32 * kWarpsOfTile, row = piece / 8, column = piece % 8 * 8;
      const T* x = input_row(args, first_place + row);
      const bool inside = k + column < p.in, x_there = inside && x != nullptr,
                 w_there = inside && first_out + row < p.out;
      copy_16_bytes(to + row * kRow + column, x_there ? x + k + column : p.x, x_there);
      copy_16_bytes(to + 2 * kPart + row * kRow + column,
                    w_there ? weight + static_cast<size_t>(first_out + row) * p.in + k + column : p.weight, w_there);
    }
    commit_copies();
  };
  float sums[kSide / 8][4] = {};
  const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, part = lane / 8, row = lane % 8;
  fetch(0, shared);
  uint32_t slot = 0;
#pragma unroll 1
  for (uint32_t k = 0; k < p.in; k += kSide, slot = kPart - slot) {
    wait_for_copies<0>();
    __syncthreads();  // this part is there, and the other one's place may be written
    if (k + kSide < p.in) fetch(k + kSide, shared + (kPart - slot));
    const T *x = shared + slot, *w = shared + 2 * kPart + slot;
#pragma unroll
    for (int step = 0; step < kSide / 16; ++step) {
      unsigned a[4];
      load_matrices(a, x + (warp * 16 + lane % 16) * kRow + step * 16 + lane / 16 * 8);
#pragma unroll
      for (int n = 0; n < kSide / 16; ++n) {
        unsigned b[4];
        load_matrices(b, w + (n * 16 + part / 2 * 8 + row) * kRow + step * 16 + part % 2 * 8);
        multiply_add<T>(sums[2 * n], a, b[0], b[1]);
        multiply_add<T>(sums[2 * n + 1], a, b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kSide / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t place = first_place + warp * 16 + lane / 4 + i / 2 * 8,
                     out = first_out + n * 8 + lane % 4 * 2 + i % 2;
      const float y = p.activated ? apply(p.act, sums[n][i]) : sums[n][i];
      if (out < p.out) p.y[static_cast<size_t>(place) * p.out + out] = from_float<T>(y);
    }
  }
}

// One block: a place, some outputs.
__global__ void plain_product_kernel(ProductArgs<float> args) {
  const uint32_t expert = args.expert_at[blockIdx.x / kExpertTile], out = blockIdx.y * blockDim.x + threadIdx.x;
  const ExpertProduct<float>& p = args.product;
  if (expert == kNone || out >= p.out) return;
  const float* x = input_row(args, blockIdx.x);
  if (x == nullptr) return;
  const float* weight = p.weight + (static_cast<size_t>(expert) * p.out + out) * p.in;
  float sum = 0;
  for (uint32_t k = 0; k < p.in; ++k) sum += x[k] * weight[k];
  p.y[static_cast<size_t>(blockIdx.x) * p.out + out] = p.activated ? apply(p.act, sum) : sum;
}

// One block: a row.
template <class T>
__global__ void combine_kernel(const T* from, Choices c, const float* bias, T* to, uint32_t width) {
  const size_t row = blockIdx.x;
  for (uint32_t i = threadIdx.x; i < width; i += blockDim.x) {
    float sum = bias == nullptr ? 0.0f : bias[i];
    for (uint32_t j = 0; j < c.chosen; ++j)
      sum += c.share[row * c.chosen + j] * to_float(from[static_cast<size_t>(c.place[row * c.chosen + j]) * width + i]);
    to[row * width + i] = from_float<T>(sum);
  }
}

}  // namespace

void choose_experts(const float* scores, const Choices& c, cudaStream_t stream) {
  launch("choosing experts", choose_kernel, {div_up(c.rows, kThreads), kThreads, 0, stream}, scores, c);
  launch("counting rows of experts", count_kernel, {c.experts, kThreads, 0, stream}, c);
  launch("placing rows of experts", place_kernel, {c.experts, kThreads, 0, stream}, c);
}

template <class T>
void multiply_experts(const ExpertProduct<T>& p, const Choices& c, cudaStream_t stream) {
  const ProductArgs<T> args{p, c.row_at, c.expert_at};
  if constexpr (sizeof(T) == 2) {
    launch("experts' product", product_kernel<T>,
           {dim3(c.tiles, div_up(p.out, kSide)), 32 * kWarpsOfTile, size_t{4} * kPart * sizeof(T), stream}, args);
  } else {
    launch("experts' product", plain_product_kernel, {dim3(c.tiles * kExpertTile, div_up(p.out, 128)), 128, 0, stream},
           args);
  }
}

template <class T>
void combine_experts(const T* from, const Choices& c, const float* bias, T* to, uint32_t width, cudaStream_t stream) {
  const unsigned threads = std::clamp(div_up(width, 128) * 32, 32u, 256u);
  launch("adding up experts", combine_kernel<T>, {c.rows, threads, 0, stream}, from, c, bias, to, width);
}

#define RERANK_CUDA_EXPERTS(T)                                                              \
  template void multiply_experts<T>(const ExpertProduct<T>&, const Choices&, cudaStream_t); \
  template void combine_experts<T>(const T*, const Choices&, const float*, T*, uint32_t, cudaStream_t)
RERANK_CUDA_EXPERTS(float);
RERANK_CUDA_EXPERTS(__half);
RERANK_CUDA_EXPERTS(__nv_bfloat16);

}  // namespace rerank::engine::cuda
