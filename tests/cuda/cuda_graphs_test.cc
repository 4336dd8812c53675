// Batches started as CUDA graphs score as when they are started launch by launch, whatever came before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cuda/kernels/row_classes.h"
#include "support.h"

namespace rerank {
namespace {

class CudaGraphsTest : public ::testing::TestWithParam<emulation::Order> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam();
    emulation::graphs() = {};
    model = load(testing::write_tiny_model({.layers = 3, .hidden = 64, .heads = 2, .positions = 128}, "cuda_graphs"));
  }
  void TearDown() override { emulation::settings() = {}; }

  engine::OwnedBatch batch_of(std::initializer_list<size_t> lengths) const {
    return random_batch(model->config, lengths);
  }
  std::vector<float> plain(const engine::OwnedBatch& batch, Precision precision = Precision::kAuto) const {
    return run(*open(model, {.precision = precision, .cuda_graphs = false}), batch.view());
  }

  std::shared_ptr<const model::Model> model;
};

INSTANTIATE_TEST_SUITE_P(Orders, CudaGraphsTest, ::testing::Values(emulation::Order::kLate, emulation::Order::kEarly),
                         [](const auto& info) { return info.param == emulation::Order::kLate ? "late" : "early"; });

// A class is recorded when it is met again, and then the same graph serves all its batches: other lengths, other
// numbers of sequences, full and nearly empty.
TEST_P(CudaGraphsTest, BatchesOfAClassShareAGraphAndScoreAsWithoutOne) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp8}) {
    emulation::graphs() = {};
    const auto backend = open(model, {.precision = precision});
    const std::vector<engine::OwnedBatch> batches = {batch_of({128, 100, 3}), batch_of({70, 60, 50, 40}),
                                                     batch_of({128, 127, 1}), batch_of({90, 1, 1, 104}),
                                                     batch_of({120, 3, 73})};
    for (int round = 0; round < 2; ++round) {
      for (size_t i = 0; i < batches.size(); ++i)
        EXPECT_EQ(run(*backend, batches[i].view()), plain(batches[i], precision))
            << word_of(precision) << " " << round << " " << i;
    }
    EXPECT_EQ(emulation::graphs().captured, 1u);
    EXPECT_EQ(emulation::graphs().launched, 9u);
  }
  EXPECT_EQ(emulation::graphs().kept, 0u);
}

TEST_P(CudaGraphsTest, ChangingSizesAndGrowingBuffersLeaveNoGraphBehind) {
  const auto backend = open(model, {});
  const std::vector<engine::OwnedBatch> batches = {batch_of({20, 30}),
                                                   batch_of({20, 31}),
                                                   batch_of({128, 128, 128, 40}),
                                                   batch_of({60, 3}),
                                                   batch_of({100, 128, 128, 60}),
                                                   batch_of({1}),
                                                   batch_of({128, 128, 128, 128, 128, 128, 128, 128, 128}),
                                                   batch_of({5, 50})};
  std::vector<std::vector<float>> expected;
  for (const engine::OwnedBatch& batch : batches) expected.push_back(plain(batch));
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < batches.size(); ++i)
      EXPECT_EQ(run(*backend, batches[i].view()), expected[i]) << round << " " << i;
  }
  EXPECT_GT(emulation::graphs().launched, 2 * batches.size());
}

// Contests and exits move buffers and stop half-way: the batches around them do not notice.
TEST_P(CudaGraphsTest, BatchesAroundContestsAndExitsAreTheirs) {
  model::Exits exits;
  for (int layer = 0; layer < 2; ++layer) exits.heads.push_back({std::vector<float>(3 * 64, 0.1f), 0, 0.02f});
  const auto backend = open(model, {.exits = std::make_shared<const model::Exits>(exits)});
  const engine::OwnedBatch batch = batch_of({5, 90, 33, 64, 1, 120});
  const auto expected = plain(batch);
  const auto size = static_cast<uint32_t>(expected.size());
  const std::vector<engine::Contest> contests = {{0, size, 2, 0.5f}};
  const std::vector<uint8_t> shallow(size, 1);
  engine::Batch with_exits = batch.view();
  with_exits.layers = shallow;
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(run(*backend, batch.view()), expected) << round;
    std::vector<float> logits(size);
    std::vector<uint8_t> depths(size);
    ASSERT_TRUE(backend->forward_contests(batch.view(), contests, logits, depths).ok());
    EXPECT_LT(std::count(depths.begin(), depths.end(), 0), size);
    run(*backend, with_exits);
  }
  EXPECT_EQ(emulation::graphs().captured, 1u);
  EXPECT_EQ(emulation::graphs().launched, 3u);
}

TEST(CudaGraphs, AreForSmallBatches) {
  EXPECT_TRUE(engine::cuda::worth_a_graph(66 * 128, 384));
  EXPECT_TRUE(engine::cuda::worth_a_graph(4096, 1024));
  EXPECT_FALSE(engine::cuda::worth_a_graph(4097, 1024));
}

// The call that fails is any of a batch that is recorded, or that is started from a graph.
TEST_P(CudaGraphsTest, AFailingCallCostsABatchAtMost) {
  const engine::OwnedBatch batch = batch_of({5, 90, 33});
  const auto expected = plain(batch);
  for (const int before : {1, 2}) {
    const auto probe = open(model, {});
    for (int i = 0; i < before; ++i) run(*probe, batch.view());
    const size_t calls = emulation::calls();
    run(*probe, batch.view());
    const size_t needed = emulation::calls() - calls;
    size_t fell_back = 0;
    for (size_t n = 0; n < needed; n += before == 1 ? 4 : 1) {
      const auto backend = open(model, {});
      for (int i = 0; i < before; ++i) run(*backend, batch.view());
      emulation::settings().calls_to_failure = static_cast<int>(n);
      std::vector<float> logits(expected.size());
      const Status status = backend->forward(batch.view(), logits);
      if (status.ok()) {
        EXPECT_EQ(logits, expected) << n;
        ++fell_back;
      } else {
        EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << n << " " << status;
      }
      for (int i = 0; i < 3; ++i) EXPECT_EQ(run(*backend, batch.view()), expected) << n;
    }
    EXPECT_EQ(fell_back > 0, before == 1) << needed;  // what cannot be recorded is launched one by one
  }
}

TEST_P(CudaGraphsTest, ADeviceThatIsLostEndsQuietly) {
  const auto backend = open(model, {});
  const engine::OwnedBatch batch = batch_of({5, 90, 33});
  run(*backend, batch.view());
  emulation::settings().calls_to_failure = 10;
  emulation::settings().failure_stays = true;
  std::vector<float> logits(batch.view().size());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(backend->forward(batch.view(), logits).code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace rerank
