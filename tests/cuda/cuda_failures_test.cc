// What goes wrong on a GPU, made to happen: only the batch that met it fails, and the engine goes on where it can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;

class CudaFailuresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    model = load(testing::write_tiny_model({.hidden = 64, .heads = 2, .positions = 128}, "cuda_failures"));
    batch = random_batch(model->config, {5, 90, 33, 64, 1, 120});
  }
  void TearDown() override { emulation::settings() = {}; }

  Status try_run(engine::Backend& backend) {
    std::vector<float> logits(batch.view().size());
    return backend.forward(batch.view(), logits);
  }

  std::shared_ptr<const model::Model> model;
  engine::OwnedBatch batch;
};

TEST_F(CudaFailuresTest, NothingIsLostWhereOpeningFailsAtAnyCall) {
  const size_t before = emulation::allocated(), calls = emulation::calls();
  open(model, {}).reset();
  const size_t needed = emulation::calls() - calls;
  EXPECT_EQ(emulation::allocated(), before);
  for (size_t n = 0; n < needed; n += 1 + n / 4) {
    emulation::settings().calls_to_failure = static_cast<int>(n);
    EXPECT_FALSE(engine::make_cuda_backend(model, {}).ok()) << n;
    EXPECT_EQ(emulation::allocated(), before) << n;
  }
}

TEST_F(CudaFailuresTest, OneFailingCallFailsOneBatch) {
  const auto expected = run(*open(model, {}), batch.view());
  auto probe = open(model, {});
  const size_t calls = emulation::calls();
  run(*probe, batch.view());
  const size_t needed = emulation::calls() - calls;
  ASSERT_GT(needed, 30u);
  for (size_t n = 0; n < needed; n += 3) {
    auto backend = open(model, {});  // its buffers have to grow: those calls may fail too
    emulation::settings().calls_to_failure = static_cast<int>(n);
    const Status status = try_run(*backend);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << n << " " << status;
    EXPECT_EQ(run(*backend, batch.view()), expected) << n;
  }
}

TEST_F(CudaFailuresTest, AnAllocationThatFailsOnceSplitsTheBatch) {
  const auto expected = run(*open(model, {}), batch.view());
  for (int n = 0; n < 12; ++n) {
    auto backend = open(model, {});
    emulation::settings().allocations_to_failure = n;
    EXPECT_EQ(run(*backend, batch.view()), expected) << n;
    EXPECT_EQ(run(*backend, batch.view()), expected) << n;
  }
}

TEST_F(CudaFailuresTest, BatchesAreAsLargeAsMemoryAllows) {
  const auto expected = run(*open(model, {}), batch.view());
  auto backend = open(model, {});
  const size_t before = emulation::allocated();
  emulation::settings().memory = before + 384 * 1024;  // about two of the six
  EXPECT_EQ(run(*backend, batch.view()), expected);
  EXPECT_EQ(run(*backend, batch.view()), expected);
  EXPECT_LE(emulation::allocated(), emulation::settings().memory);
  emulation::settings().memory = emulation::allocated();  // a fresh engine has room for nothing
  EXPECT_EQ(engine::make_cuda_backend(model, {}).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CudaFailuresTest, WhereNotEvenOneSequenceFitsThatIsSaid) {
  auto backend = open(model, {});
  emulation::settings().memory = emulation::allocated() + 1024;
  EXPECT_EQ(try_run(*backend).code(), absl::StatusCode::kResourceExhausted);
  emulation::settings().memory = size_t{1} << 30;
  EXPECT_TRUE(try_run(*backend).ok());
}

TEST_F(CudaFailuresTest, ADeviceThatIsLostFailsEveryBatchAndClosesQuietly) {
  auto backend = open(model, {});
  emulation::settings().calls_to_failure = 20;
  emulation::settings().failure_stays = true;
  for (int i = 0; i < 3; ++i) {
    const Status status = try_run(*backend);
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("unspecified launch failure"));
  }
  backend.reset();
  EXPECT_FALSE(engine::make_cuda_backend(model, {}).ok());
}

TEST_F(CudaFailuresTest, AMachineWithoutADeviceSaysSo) {
  emulation::settings().devices = 0;
  EXPECT_THAT(std::string(engine::make_cuda_backend(model, {}).status().message()),
              HasSubstr("no GPU that this process may use"));
  emulation::settings().devices = 1;
  emulation::settings().compute_capability = 75;
  EXPECT_THAT(std::string(engine::make_cuda_backend(model, {}).status().message()), HasSubstr("too old"));
}

class CudaNoNumberTest : public CudaFailuresTest, public ::testing::WithParamInterface<Precision> {};
INSTANTIATE_TEST_SUITE_P(Precisions, CudaNoNumberTest, ::testing::Values(Precision::kFp16, Precision::kFp8));

// A pair whose state overflows has no score; its neighbours in the batch, and in the next one, have theirs.
TEST_P(CudaNoNumberTest, StaysWithItsPair) {
  testing::TinyModelSpec spec{.hidden = 64, .heads = 2, .positions = 128};
  auto tensors = testing::make_tensors(spec);
  for (auto& tensor : tensors) {
    if (tensor.name.ends_with("word_embeddings.weight"))
      tensor.values[7 * 64] = std::numeric_limits<float>::quiet_NaN();
  }
  const std::string folder = testing::write_tiny_model(spec, "cuda_not_a_number");
  testing::write_safetensors(folder + "/model.safetensors", tensors, model::DType::kF32);
  const auto broken = load(folder);
  for (int32_t& id : batch.ids) id = id == 7 ? 8 : id;
  const auto expected = run(*open(broken, {.precision = GetParam()}), batch.view());
  auto backend = open(broken, {.precision = GetParam()});
  engine::OwnedBatch bad = batch;
  bad.ids[bad.offsets[3] + 11] = 7;
  const auto logits = run(*backend, bad.view());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i == 3) {
      EXPECT_TRUE(std::isnan(logits[i]));
    } else {
      EXPECT_EQ(logits[i], expected[i]) << i;
    }
  }
  EXPECT_EQ(run(*backend, batch.view()), expected);
}

}  // namespace
}  // namespace rerank
