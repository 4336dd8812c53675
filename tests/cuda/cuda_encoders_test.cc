// What few families of encoders have (windows with a global first token, a convolution, experts), where batches are
// more than one pass from the first layer to the last: graphs, whose rows and sequences are filled up, and contests,
// whose losers leave. The scores themselves: cuda_emulation_test.cc.
#include <gtest/gtest.h>

#include "support.h"
#include "support/golden.h"

namespace rerank {
namespace {

class CudaEncodersTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::graphs() = {};
    model = load(std::string(RERANKD_SOURCE_DIR "/tests/data/models/") + GetParam());
  }
  void TearDown() override { emulation::settings() = {}; }

  std::shared_ptr<const model::Model> model;
};

INSTANTIATE_TEST_SUITE_P(Models, CudaEncodersTest,
                         ::testing::Values("longformer-a", "deberta-c", "nomic-moe-a", "nomic-moe-c"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Batches of one class, whose last rows and sequences are no batch's.
TEST_P(CudaEncodersTest, GraphsGiveWhatLaunchesGive) {
  for (const char* precision : {"fp32", "bf16"}) {
    emulation::graphs() = {};
    const auto backend = open(model, {.precision = precision});
    const auto plain = open(model, {.precision = precision, .cuda_graphs = false});
    for (const auto& lengths : {std::initializer_list<size_t>{40, 30, 3}, {33, 20, 21, 5}, {64, 1, 2}, {28, 40, 9}}) {
      const engine::OwnedBatch batch = random_batch(model->config, lengths);
      EXPECT_EQ(run(*backend, batch.view()), run(*plain, batch.view())) << precision << " " << lengths.size();
    }
    EXPECT_GE(emulation::graphs().launched, 2u);
  }
}

TEST_P(CudaEncodersTest, WhoStaysInAContestHasTheScoreOfTheFullDepth) {
  model::Exits exits;
  for (size_t layer = 0; layer + 1 < model->architecture().layers(); ++layer) {
    model::ExitHead head;
    head.weights.assign(model::exit_width(model->architecture()), 0.0f);
    head.weights[0] = 1;
    head.error = 1e-3f;
    exits.heads.push_back(head);
  }
  const auto backend =
      open(model, {.precision = "bf16", .exits = std::make_shared<const model::Exits>(std::move(exits))});
  const engine::OwnedBatch batch = random_batch(model->config, {40, 7, 1, 23, 64, 12, 30, 5});
  const std::vector<float> full = run(*backend, batch.view());
  std::vector<float> logits(batch.size());
  std::vector<uint8_t> depths(batch.size());
  const engine::Contest contest{.first = 0, .size = static_cast<uint32_t>(batch.size()), .keep = 3, .margin = 1};
  ASSERT_TRUE(backend->forward_contests(batch, {&contest, 1}, logits, depths).ok());
  size_t stayed = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (depths[i] != 0) continue;
    ++stayed;
    EXPECT_EQ(logits[i], full[i]) << i;
  }
  EXPECT_GE(stayed, 3u);
  EXPECT_LT(stayed, batch.size());
}

}  // namespace
}  // namespace rerank
