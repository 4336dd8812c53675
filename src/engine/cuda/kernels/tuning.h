// Which algorithm is the fastest for a product, found by timing a few on the device, and remembered.
//
// It is found when a shape is met for the first time, in the batch that has met it: which shapes matter is not known
// before, and the time is bounded (Tuning::kMostMicroseconds for each shape), so that a batch with all its shapes new
// takes some ten to a hundred milliseconds longer, once. What was found can be kept (plugin.h), and then not even that.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/cuda/device.h"

namespace rerank::engine::cuda {

// cuBLASLt's GELU is the tanh form. kScaledBias: of FP8, y[r, c] = row_scale[r] * scale[c] * sum + bias[c].
enum class Epilogue { kBias, kBiasGeluTanh, kNone, kScaledBias };

struct ProductShape {  // y [m, n] = x [m, k] W^T, m a number of rows that padded_rows() gives
  Type type = Type::kF32;
  Epilogue epilogue = Epilogue::kBias;
  uint32_t m = 0, n = 0, k = 0;
  uint32_t alignment = 256;  // bytes, of W: algorithms rely on it. x and y are whole buffers, which have 256
  auto operator<=>(const ProductShape&) const = default;
};

// "16384 x 4096 x 1024 (m, n, k) of bf16 with bias and GELU": for messages.
std::string text_of(const ProductShape& shape);

struct Algorithm {  // by a name of its own: nvcc 13.0 breaks off where a container holds a type that has none
  cublasLtMatmulAlgo_t words = {};
};

class Tuning {
 public:
  // That are remembered, a hundred bytes each: of some models that share a file, each at most what a Gemm has plans
  // for.
  static constexpr size_t kMostShapes = 4096;
  static constexpr int kCandidates = 8;  // of cuBLASLt's guesses, best first; the fastest is seldom behind them
  // Of the device's time, for one shape: no further candidate is tried after it. Eight candidates of a product of
  // XLM-R-large's width for 16384 rows (0.25 ms) take 6 ms; a product of 2 ms gets the time for some.
  static constexpr float kMostMicroseconds = 40000;
  static constexpr float kLongMicroseconds = 100;  // of one run: from there on two runs tell enough
  // Candidates that are less than 3 % faster are as fast: then its first guess is taken, which is the same in every
  // process.
  static constexpr float kWorthwhile = 0.97f;

  Tuning() = default;
  ~Tuning();
  Tuning(const Tuning&) = delete;
  Tuning& operator=(const Tuning&) = delete;

  // How many candidates are tried from now on, at least one; one: it is taken untried.
  void limit(uint32_t candidates) { limit_ = std::max(candidates, 1u); }

  // Starts the product with an algorithm; an algorithm that cannot run here says so at once.
  using Run = std::function<cublasStatus_t(const Algorithm&)>;

  // The fastest of at least one candidate, best guess first. Runs each a few times and waits for them; throws where
  // none runs.
  Algorithm fastest(const ProductShape& shape, std::span<const Algorithm> candidates, const Run& run,
                    cudaStream_t stream);

  // Null: not tuned yet. It may come from elsewhere, and has to be checked.
  std::optional<Algorithm> find(const ProductShape& shape) const;
  void forget(const ProductShape& shape) { tuned_.erase(shape); }

  void recall(std::span<const TunedProduct> products);
  std::span<const TunedProduct> learned();  // as plugin.h has it

 private:
  static constexpr int kRuns = 5;

  // Microseconds of a run: the median of some, or of `runs` the least.
  float time(const Algorithm& algorithm, int runs, const Run& run, cudaStream_t stream);

  std::vector<cudaEvent_t> events_;  // kRuns + 1, once they are needed
  std::map<ProductShape, TunedProduct> tuned_;
  std::vector<TunedProduct> exported_;
  bool news_ = false;
  uint32_t limit_ = kCandidates;
};

}  // namespace rerank::engine::cuda
