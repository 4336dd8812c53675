// How many tokens a batch may have: as many as the device's free memory holds, and who is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/metrics.h"
#include "engine/registry.h"
#include "rerank/reranker.h"
#include "support.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;

constexpr size_t kReserved = size_t{256} << 20;  // what a small device leaves to others

class CudaMemoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    model = load(testing::write_tiny_model({.layers = 3, .hidden = 64, .heads = 2, .positions = 128}, "cuda_memory"));
    weights = bytes_of(model, {});
  }
  void TearDown() override { emulation::settings() = {}; }

  static size_t bytes_of(std::shared_ptr<const model::Model> model, const engine::BackendOptions& options) {
    const auto backend = open(std::move(model), options);
    return emulation::allocated();
  }
  // An engine on a device that has `bytes` for batches, and nothing besides once the engine is open.
  std::unique_ptr<engine::Backend> open_with_room(size_t bytes, const engine::BackendOptions& options = {}) {
    emulation::settings().memory = weights + bytes + kReserved;
    auto backend = open(model, options);
    emulation::settings().memory -= kReserved;
    return backend;
  }
  // Sequences of `length` that have `tokens` together, or a few less.
  engine::OwnedBatch batch_of(size_t tokens, size_t length) const {
    engine::OwnedBatch batch;
    for (size_t i = 0; i < tokens / length; ++i) {
      const engine::OwnedBatch one = random_batch(model->config, {length});
      batch.add(one.ids, one.segments);
    }
    return batch;
  }

  std::shared_ptr<const model::Model> model;
  size_t weights = 0;
};

TEST_F(CudaMemoryTest, ABatchOfTheBudgetFitsAndOneOfTwiceAsMuchDoesNot) {
  for (const size_t room : {size_t{1} << 20, size_t{3} << 20}) {
    const size_t tokens = open_with_room(room)->info().batch_tokens;
    EXPECT_GT(tokens, 100u);
    for (const size_t length : {8, 100}) {
      const size_t refusals = emulation::refusals();
      const auto backend = open_with_room(room);
      run(*backend, batch_of(tokens, length).view());
      EXPECT_EQ(emulation::refusals(), refusals) << room << " " << length;
    }
    emulation::settings().memory = size_t{1} << 30;  // as if there were more: what would such a batch take?
    const auto other = open(model, {});
    const size_t before = emulation::allocated();
    run(*other, batch_of(2 * tokens, 100).view());
    EXPECT_GT(emulation::allocated() - before, room);
  }
}

TEST_F(CudaMemoryTest, TheBudgetCountsWhatExitsNeed) {
  model::Exits exits;
  for (int layer = 0; layer < 2; ++layer) exits.heads.push_back({std::vector<float>(3 * 64, 0.1f), 0, 0.02f});
  const engine::BackendOptions options{.exits = std::make_shared<const model::Exits>(exits)};
  const auto backend = open_with_room(size_t{2} << 20, options);
  const engine::OwnedBatch batch = batch_of(backend->info().batch_tokens, 8);
  const auto size = static_cast<uint32_t>(batch.view().size());
  std::vector<float> logits(size);
  std::vector<uint8_t> depths(size);
  const std::vector<engine::Contest> contests = {{0, size, size - 1, 1000.0f}};
  const size_t refusals = emulation::refusals();
  ASSERT_TRUE(backend->forward_contests(batch.view(), contests, logits, depths).ok());
  EXPECT_EQ(emulation::refusals(), refusals);
}

TEST_F(CudaMemoryTest, LargerBatchesAreComputedInPieces) {
  const auto backend = open_with_room(size_t{1} << 20);
  const engine::OwnedBatch batch = batch_of(5 * backend->info().batch_tokens, 60);
  const size_t refusals = emulation::refusals();
  const auto logits = run(*backend, batch.view());
  EXPECT_EQ(emulation::refusals(), refusals);
  emulation::settings() = {};
  EXPECT_EQ(logits, run(*open(model, {}), batch.view()));
}

TEST_F(CudaMemoryTest, AFullDeviceComputesOnePairAfterAnother) {
  emulation::settings().memory = weights + (size_t{1} << 20);  // less than is left to others
  const auto backend = open(model, {});
  EXPECT_EQ(backend->info().batch_tokens, 1u);
  const engine::OwnedBatch batch = batch_of(300, 60);
  const auto logits = run(*backend, batch.view());
  emulation::settings() = {};
  EXPECT_EQ(logits, run(*open(model, {}), batch.view()));
}

TEST_F(CudaMemoryTest, DevicesTogetherHaveRoomForTheirSum) {
  emulation::settings().devices = 2;
  emulation::settings().memory = weights + kReserved + (size_t{1} << 20);
  const size_t one = open(model, {})->info().batch_tokens;
  engine::BackendOptions options;
  for (const auto& [devices, expected] : {std::pair{"0,1", 2 * one}, {"cpu,1", one}}) {
    options.devices = devices;
    const auto backend = engine::open_backend(model, EngineKind::kCuda, options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_EQ((*backend)->info().batch_tokens, expected) << devices;
  }
}

TEST_F(CudaMemoryTest, ThePlannerKeepsToTheBudget) {
  Options options;
  options.model.source.model = std::string(RERANKD_SOURCE_DIR) + "/tests/data/models/bert-a";
  options.model.engine.engine = EngineKind::kCuda;
  for (const bool tight : {false, true}) {
    emulation::settings() = {};
    const auto served = load(options.model.source.model);
    if (tight) emulation::settings().memory = bytes_of(served, {}) + kReserved + (size_t{1} << 20);
    const size_t budget = open(served, {})->info().batch_tokens;
    EXPECT_EQ(budget < options.model.queue.max_batch_tokens, tight);
    const auto metrics = std::make_shared<Metrics>();
    const auto reranker = Reranker::open(options, metrics);
    ASSERT_TRUE(reranker.ok()) << reranker.status();
    const size_t expected = tight ? budget : options.model.queue.max_batch_tokens;
    EXPECT_THAT(metrics->to_text(), HasSubstr("rerankd_batch_tokens_max " + std::to_string(expected) + "\n"));
  }
}

}  // namespace
}  // namespace rerank
