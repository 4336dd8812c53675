// What the tests of the emulated engine share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emulation/emulation.h"
#include "engine/cuda/cuda_backend.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"

namespace rerank {

inline OwnedBatch random_batch(const ModelConfig& config, std::initializer_list<size_t> lengths) {
  return testing::random_batch(lengths, config.architecture.embedding.vocabulary,
                               config.architecture.embedding.segment_rows, 7);
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
