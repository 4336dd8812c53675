#include "engine/cuda/kernels/tuning.h"

#include <algorithm>
#include <cstring>

namespace rerank::engine::cuda {
namespace {

static_assert(sizeof(TunedProduct::algorithm) == sizeof(Algorithm));

ProductShape shape_of(const TunedProduct& t) {
  return {static_cast<Type>(t.type), static_cast<Epilogue>(t.epilogue), t.m, t.n, t.k, t.alignment};
}

const char* name_of(Type type) {
  switch (type) {
    case Type::kF16:
      return "fp16";
    case Type::kBf16:
      return "bf16";
    case Type::kFp8:
      return "fp8";
    case Type::kF32:
      break;
  }
  return "fp32";
}

}  // namespace

std::string text_of(const ProductShape& shape) {
  const char* epilogue = shape.epilogue == Epilogue::kBias           ? " with bias"
                         : shape.epilogue == Epilogue::kBiasGeluTanh ? " with bias and GELU"
                         : shape.epilogue == Epilogue::kScaledBias   ? " with scales and bias"
                                                                     : "";
  return std::to_string(shape.m) + " x " + std::to_string(shape.n) + " x " + std::to_string(shape.k) +
         " (m, n, k) of " + name_of(shape.type) + epilogue + ", weights aligned to " + std::to_string(shape.alignment);
}

Tuning::~Tuning() {
  for (cudaEvent_t event : events_) (void)cudaEventDestroy(event);
}

// The first guess is timed when the device may not have its clock up yet. So where another one wins it is timed again,
// and loses only if it is slower now, too.
Algorithm Tuning::fastest(const ProductShape& shape, std::span<const Algorithm> candidates, const Run& run,
                          cudaStream_t stream) {
  candidates = candidates.first(std::min<size_t>(candidates.size(), limit_));
  if (candidates.size() == 1) return candidates[0];
  TunedProduct tuned{static_cast<int32_t>(shape.type),
                     static_cast<int32_t>(shape.epilogue),
                     shape.m,
                     shape.n,
                     shape.k,
                     shape.alignment};
  const Algorithm *first = nullptr, *best = nullptr;
  float spent = 0;
  int runs = kRuns;
  cublasStatus_t refusal = CUBLAS_STATUS_NOT_SUPPORTED;
  for (const Algorithm& candidate : candidates) {
    if (spent + static_cast<float>(runs + 1) * tuned.microseconds > kMostMicroseconds) break;
    if (const cublasStatus_t status = run(candidate); status != CUBLAS_STATUS_SUCCESS) {  // it also warms up
      refusal = status;
      continue;
    }
    const float microseconds = time(candidate, runs, run, stream);
    spent += static_cast<float>(runs + 1) * microseconds;
    ++tuned.candidates;
    if (first == nullptr) {
      first = &candidate;
      tuned.untuned_microseconds = microseconds;
      if (microseconds > kLongMicroseconds) runs = 2;
    } else if (microseconds >= kWorthwhile * tuned.microseconds) {
      continue;
    }
    best = &candidate;
    tuned.microseconds = microseconds;
  }
  if (best == nullptr) check(refusal, text_of(shape).c_str());
  if (best != first) {
    tuned.untuned_microseconds = std::min(tuned.untuned_microseconds, time(*first, runs, run, stream));
    if (tuned.microseconds >= kWorthwhile * tuned.untuned_microseconds) best = first;
  }
  if (best == first) tuned.microseconds = tuned.untuned_microseconds;
  std::memcpy(tuned.algorithm, best, sizeof *best);
  if (tuned_.size() < kMostShapes) {
    tuned_[shape] = tuned;
    news_ = true;
  }
  return *best;
}

// Runs stand in the stream one behind another, so that the device does not wait for the host between short ones.
float Tuning::time(const Algorithm& algorithm, int runs, const Run& run, cudaStream_t stream) {
  while (events_.size() < kRuns + 1) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "an event");
    events_.push_back(event);
  }
  for (int i = 0; i < runs; ++i) {
    check(cudaEventRecord(events_[i], stream), "timing a product");
    check(run(algorithm), "timing a product");
  }
  check(cudaEventRecord(events_[runs], stream), "timing a product");
  check(cudaEventSynchronize(events_[runs]), "timing a product");
  float milliseconds[kRuns];
  for (int i = 0; i < runs; ++i)
    check(cudaEventElapsedTime(&milliseconds[i], events_[i], events_[i + 1]), "timing a product");
  float* const middle = milliseconds + (runs - 1) / 2;
  std::nth_element(milliseconds, middle, milliseconds + runs);
  return 1000 * *middle;
}

std::optional<Algorithm> Tuning::find(const ProductShape& shape) const {
  const auto found = tuned_.find(shape);
  if (found == tuned_.end()) return std::nullopt;
  Algorithm algorithm;
  std::memcpy(&algorithm, found->second.algorithm, sizeof algorithm);
  return algorithm;
}

void Tuning::recall(std::span<const TunedProduct> products) {
  for (const TunedProduct& product : products) {
    if (tuned_.size() < kMostShapes) tuned_[shape_of(product)] = product;
  }
}

std::span<const TunedProduct> Tuning::learned() {
  if (!std::exchange(news_, false)) return {};
  exported_.clear();
  for (const auto& [shape, tuned] : tuned_) exported_.push_back(tuned);
  return exported_;
}

}  // namespace rerank::engine::cuda
