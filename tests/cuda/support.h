// What the tests of the emulated engine share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "emulation/emulation.h"
#include "engine/cuda/cuda_backend.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"

namespace rerank {

inline engine::OwnedBatch random_batch(const model::ModelConfig& config, std::initializer_list<size_t> lengths) {
  return testing::random_batch(lengths, config.architecture.embedding.vocabulary,
                               config.architecture.embedding.segment_rows, 7);
}

inline std::shared_ptr<const model::Model> load(const std::string& folder) {
  auto model = model::load_model(folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

inline bool has_experts(const model::Architecture& architecture) {
  return std::ranges::any_of(architecture.blocks,
                             [](const model::Block& block) { return block.feed_forward.experts.has_value(); });
}

inline std::unique_ptr<engine::Backend> open(std::shared_ptr<const model::Model> model,
                                             const engine::BackendOptions& options) {
  auto backend = engine::make_cuda_backend(std::move(model), options);
  EXPECT_TRUE(backend.ok()) << backend.status();
  return backend.ok() ? std::move(*backend) : nullptr;
}

inline std::vector<float> run(engine::Backend& backend, const engine::Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

}  // namespace rerank
