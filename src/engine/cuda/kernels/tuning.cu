#include "engine/cuda/kernels/tuning.h"

#include <algorithm>
#include <cstring>

namespace rerank::engine::cuda {
namespace {

static_assert(sizeof(TunedProduct::algorithm) == sizeof(Algorithm));

ProductShape shape_of(const TunedProduct& t) {
  return {static_cast<Type>(t.type), static_cast<Epilogue>(t.epilogue), t.m, t.n, t.k};
}

}  // namespace

Tuning::~Tuning() {
  for (cudaEvent_t event : events_) (void)cudaEventDestroy(event);
}

Algorithm Tuning::fastest(const ProductShape& shape, std::span<const Algorithm> candidates, const Run& run,
                          cudaStream_t stream) {
  if (candidates.size() == 1) return candidates[0];
  TunedProduct tuned{static_cast<int32_t>(shape.type), static_cast<int32_t>(shape.epilogue), shape.m, shape.n, shape.k};
  float spent = 0;
  cublasStatus_t refusal = CUBLAS_STATUS_NOT_SUPPORTED;
  for (const Algorithm& candidate : candidates) {
    if (spent + (kRuns + 1) * tuned.microseconds > kMostMicroseconds) break;
    if (const cublasStatus_t status = run(candidate); status != CUBLAS_STATUS_SUCCESS) {  // it also warms up
      refusal = status;
      continue;
    }
    const float microseconds = time(candidate, run, stream);
    spent += (kRuns + 1) * microseconds;
    const bool first = tuned.candidates++ == 0;
    if (first) tuned.untuned_microseconds = microseconds;
    if (!first && microseconds >= kWorthwhile * tuned.microseconds) continue;
    tuned.microseconds = microseconds;
    std::memcpy(tuned.algorithm, &candidate, sizeof candidate);
  }
  if (tuned.candidates == 0) check(refusal, "a product");
  if (tuned_.size() < kMostShapes) {
    tuned_[shape] = tuned;
    news_ = true;
  }
  Algorithm algorithm;
  std::memcpy(&algorithm, tuned.algorithm, sizeof algorithm);
  return algorithm;
}

// Runs stand in the stream one behind another, so that the device does not wait for the host between short ones.
float Tuning::time(const Algorithm& algorithm, const Run& run, cudaStream_t stream) {
  while (events_.size() < kRuns + 1) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreate(&event), "an event");
    events_.push_back(event);
  }
  for (int i = 0; i < kRuns; ++i) {
    check(cudaEventRecord(events_[i], stream), "timing a product");
    check(run(algorithm), "timing a product");
  }
  check(cudaEventRecord(events_[kRuns], stream), "timing a product");
  check(cudaEventSynchronize(events_[kRuns]), "timing a product");
  float milliseconds[kRuns];
  for (int i = 0; i < kRuns; ++i)
    check(cudaEventElapsedTime(&milliseconds[i], events_[i], events_[i + 1]), "timing a product");
  std::nth_element(milliseconds, milliseconds + kRuns / 2, milliseconds + kRuns);
  return 1000 * milliseconds[kRuns / 2];
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
  told_.clear();
  for (const auto& [shape, tuned] : tuned_) told_.push_back(tuned);
  return told_;
}

}  // namespace rerank::engine::cuda
