// Which algorithm is the fastest for a product, found by timing a few on the device, and remembered.
//
// It is found when a shape is met for the first time, in the batch that has met it: which shapes matter is known by
// nobody before, and the time is bounded (Tuning::kMostMicroseconds for each shape), so that a batch with all its
// shapes new takes some ten milliseconds longer, once. What was found can be kept (plugin.h), and then not even that.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "engine/cuda/device.h"

namespace rerank::engine::cuda {

enum class Epilogue { kBias, kBiasGeluTanh, kNone };  // cuBLASLt's GELU is the tanh form

struct ProductShape {  // y [m, n] = x [m, k] W^T, m a number of rows that padded_rows() gives
  Type type = Type::kF32;
  Epilogue epilogue = Epilogue::kBias;
  uint32_t m = 0, n = 0, k = 0;
  auto operator<=>(const ProductShape&) const = default;
};

struct Algorithm {  // by a name of its own: nvcc 13.0 breaks off where a container holds a type that has none
  cublasLtMatmulAlgo_t words = {};
};

class Tuning {
 public:
  // That are remembered, a hundred bytes each: of some models that share a file, each at most what a Gemm has plans
  // for.
  static constexpr size_t kMostShapes = 4096;
  static constexpr int kCandidates = 8;  // of cuBLASLt's guesses, best first; the fastest is seldom behind them
  // Of the device's time, for one shape: no further candidate is tried behind it.
  static constexpr float kMostMicroseconds = 5000;
  // Candidates that are less than 3 % faster are as fast: then its first guess is taken, which is the same in every
  // process.
  static constexpr float kWorthwhile = 0.97f;

  Tuning() = default;
  ~Tuning();
  Tuning(const Tuning&) = delete;
  Tuning& operator=(const Tuning&) = delete;

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

  // Microseconds of a run: the median of some.
  float time(const Algorithm& algorithm, const Run& run, cudaStream_t stream);

  std::vector<cudaEvent_t> events_;  // kRuns + 1, once they are needed
  std::map<ProductShape, TunedProduct> tuned_;
  std::vector<TunedProduct> told_;
  bool news_ = false;
};

}  // namespace rerank::engine::cuda
