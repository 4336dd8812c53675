// Fewer layers, exits and contests on the emulated engine, held against the CPU engine in fp32.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/cpu/cpu_backend.h"
#include "support.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

class CudaDepthTest : public ::testing::Test {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    model = load(testing::write_tiny_model({.layers = 4, .hidden = 64, .heads = 2, .positions = 128}, "cuda_depth"));
    batch = random_batch(model->config, {5, 40, 17, 1, 60, 33, 8, 100, 64, 63, 65, 2});
    std::mt19937 random(2);
    for (int layer = 0; layer < 3; ++layer) {
      model::ExitHead head;
      head.error = 0.02f;
      for (int i = 0; i < 3 * 64; ++i) head.weights.push_back(static_cast<float>(random() % 200) / 400 - 0.25f);
      made.heads.push_back(head);
    }
  }
  void TearDown() override { emulation::settings() = {}; }

  engine::BackendOptions with_exits() const {
    return {.precision = Precision::kFp32, .threads = 2, .exits = std::make_shared<const model::Exits>(made)};
  }
  std::unique_ptr<engine::Backend> open_cpu(const engine::BackendOptions& options) const {
    auto backend = engine::make_cpu_backend(model, options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return std::move(*backend);
  }

  std::shared_ptr<const model::Model> model;
  engine::OwnedBatch batch;
  model::Exits made;
};

TEST_F(CudaDepthTest, SequencesStopWhereTheyAskTo) {
  const std::vector<uint8_t> layers = {0, 1, 2, 3, 4, 1, 2, 3, 0, 1, 2, 3};
  engine::Batch mixed = batch.view();
  mixed.layers = layers;
  for (const engine::BackendOptions& options :
       {engine::BackendOptions{.precision = Precision::kFp32, .threads = 2}, with_exits()}) {
    const auto expected = run(*open_cpu(options), mixed), logits = run(*open(model, options), mixed);
    for (size_t i = 0; i < logits.size(); ++i)
      EXPECT_NEAR(logits[i], expected[i], testing::tolerance(EngineKind::kCuda, Precision::kFp32).generated) << i;
  }
}

// The exits of a decoder read the last token.
TEST_F(CudaDepthTest, ADecodersExitsAreReadAsOnTheCpu) {
  model = *model::load_model(RERANKD_SOURCE_DIR "/tests/data/decoders/qwen3-b");
  batch = random_batch(model->config, {5, 40, 17, 1, 60, 33});
  const size_t width = model::exit_width(model->architecture());
  made.heads.resize(model->architecture().layers() - 1);
  std::mt19937 random(3);
  for (model::ExitHead& head : made.heads) {
    head.weights.resize(width);
    for (float& weight : head.weights) weight = static_cast<float>(random() % 200) / 400 - 0.25f;
  }
  const std::vector<uint8_t> layers = {1, 2, 0, 1, 2, 1};
  engine::Batch mixed = batch.view();
  mixed.layers = layers;
  const auto expected = run(*open_cpu(with_exits()), mixed), logits = run(*open(model, with_exits()), mixed);
  for (size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(logits[i], expected[i], testing::tolerance(EngineKind::kCuda, Precision::kFp32).generated) << i;
}

TEST_F(CudaDepthTest, ContestsEndAsOnTheCpu) {
  auto cpu = open_cpu(with_exits()), cuda = open(model, with_exits());
  const std::vector<uint8_t> layers = {2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  engine::Batch mixed = batch.view();
  mixed.layers = layers;
  const std::vector<engine::Contest> contests = {{1, 8, 2, 1.0f}, {9, 2, 2, 1.0f, 1e6f}};
  const auto full = run(*cuda, mixed);
  for (int round = 0; round < 2; ++round) {  // a batch after one whose rows were packed anew
    std::vector<float> expected(full.size()), logits(full.size());
    std::vector<uint8_t> expected_depths(full.size(), 9), depths(full.size(), 9);
    ASSERT_TRUE(cpu->forward_contests(mixed, contests, expected, expected_depths).ok());
    const Status status = cuda->forward_contests(mixed, contests, logits, depths);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(depths, expected_depths);
    EXPECT_GT(std::count(depths.begin(), depths.end(), 0), 2);
    EXPECT_GT(std::count(depths.begin(), depths.end(), 1), 2);
    for (size_t i = 0; i < full.size(); ++i) {
      EXPECT_NEAR(logits[i], expected[i], testing::tolerance(EngineKind::kCuda, Precision::kFp32).generated) << i;
      if (depths[i] != 0) continue;
      EXPECT_EQ(logits[i], full[i]) << i;
    }
    EXPECT_EQ(run(*cuda, mixed), full);
  }
}

// A contest that does not fit has no winner early: everybody is computed to the end, in pieces.
TEST_F(CudaDepthTest, AContestThatDoesNotFitIsComputedInPieces) {
  auto cuda = open(model, with_exits());
  const auto full = run(*open(model, with_exits()), batch.view());
  emulation::settings().memory = emulation::allocated() + 400 * 1024;
  std::vector<float> logits(full.size());
  std::vector<uint8_t> depths(full.size(), 9);
  const std::vector<engine::Contest> contests = {{0, 12, 1, 1.0f}};
  const Status status = cuda->forward_contests(batch.view(), contests, logits, depths);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(logits, full);
  EXPECT_THAT(depths, ::testing::Each(0));
}

TEST_F(CudaDepthTest, ShowsWhatExitsRead) {
  const size_t width = 3 * model::exit_width(model->architecture());
  auto cpu = open_cpu({.precision = Precision::kFp32, .threads = 2}),
       cuda = open(model, {.precision = Precision::kFp32});
  std::vector<float> expected(batch.view().size()), logits(expected.size());
  std::vector<float> expected_states(expected.size() * width), states(expected_states.size());
  ASSERT_TRUE(cpu->forward_with_states(batch.view(), expected, expected_states).ok());
  ASSERT_TRUE(cuda->forward_with_states(batch.view(), logits, states).ok());
  const auto near =
      ::testing::FloatNear(static_cast<float>(testing::tolerance(EngineKind::kCuda, Precision::kFp32).generated));
  EXPECT_THAT(logits, ::testing::Pointwise(near, expected));
  EXPECT_THAT(states, ::testing::Pointwise(near, expected_states));
}

}  // namespace
}  // namespace rerank
