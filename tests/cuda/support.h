// What the tests of the emulated engine share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "emulation/emulation.h"
#include "engine/cuda/cuda_backend.h"
#include "support/tiny_model.h"

namespace rerank {

struct RaggedBatch {
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets{0};

  void add(std::span<const int32_t> more_ids, std::span<const int32_t> more_segments) {
    ids.insert(ids.end(), more_ids.begin(), more_ids.end());
    segments.insert(segments.end(), more_segments.begin(), more_segments.end());
    offsets.push_back(static_cast<uint32_t>(ids.size()));
  }
  Batch view() const { return {ids, segments, offsets}; }
};

inline RaggedBatch random_batch(const ModelConfig& config, std::initializer_list<size_t> lengths) {
  std::mt19937 random(7);
  RaggedBatch batch;
  for (size_t length : lengths) {
    std::vector<int32_t> ids(length), segments(length);
    for (size_t i = 0; i < length; ++i) {
      ids[i] = static_cast<int32_t>(random() % config.architecture.embedding.vocabulary);
      segments[i] = config.architecture.embedding.segment_rows > 1 && i > length / 2 ? 1 : 0;
    }
    batch.add(ids, segments);
  }
  return batch;
}

inline std::shared_ptr<const Model> load(const std::string& folder) {
  auto model = load_model(folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

inline std::unique_ptr<Backend> open(std::shared_ptr<const Model> model, const BackendOptions& options) {
  auto backend = make_cuda_backend(std::move(model), options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? std::move(*backend) : nullptr;
}

inline std::vector<float> run(Backend& backend, const Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

}  // namespace rerank
