// What few families of encoders have (windows with a global first token, a convolution, experts), where batches are
// more than one pass from the first layer to the last: graphs, whose rows and sequences are filled up, and contests,
// whose losers leave. The scores themselves: cuda_emulation_test.cc.
#include <gtest/gtest.h>

#include "engine/reference/reference_backend.h"
#include "support.h"
#include "support/golden.h"
#include "support/tolerances.h"

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
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    emulation::graphs() = {};
    const auto backend = open(model, {.precision = precision});
    const auto plain = open(model, {.precision = precision, .cuda_graphs = false});
    for (const auto& lengths : {std::initializer_list<size_t>{40, 30, 3}, {33, 20, 21, 5}, {64, 1, 2}, {28, 40, 9}}) {
      const engine::OwnedBatch batch = random_batch(model->config, lengths);
      EXPECT_EQ(run(*backend, batch.view()), run(*plain, batch.view())) << word_of(precision) << " " << lengths.size();
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
      open(model, {.precision = Precision::kBf16, .exits = std::make_shared<const model::Exits>(std::move(exits))});
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

// On tensor cores and without, at the edges of tiles: the first key comes before a window's first tile, is in it, or is
// among the window's keys; its query sees all.
TEST(CudaWindowAndFirstTest, EqualsTheReference) {
  for (const size_t head : {32, 40, 64, 128}) {
    auto model = std::make_shared<model::Model>(*load(
        testing::write_tiny_model({.layers = 2, .hidden = 2 * head, .heads = 2, .positions = 384}, "cuda_first")));
    for (model::LayerWeights& layer : model->weights.layers) {
      layer.global_query = layer.key;
      layer.global_key = layer.value;
      layer.global_value = layer.query;
    }
    for (const size_t window : {1, 63, 64, 100}) {
      for (model::Block& block : model->config.architecture.blocks) {
        block.attention.mask = model::MaskKind::kWindowAndFirst;
        block.attention.window = window;
      }
      const auto batch = random_batch(model->config, {1, 63, 64, 65, 130, 193, 384});
      const auto expected = run(*engine::make_reference_backend(model), batch.view());
      for (const auto& [precision, capability] :
           {std::pair{Precision::kFp32, 90}, {Precision::kBf16, 90}, {Precision::kBf16, 89}}) {
        if (capability == 89 && head != 64) continue;  // one case of mma.sync where there is wgmma
        emulation::settings() = {.order = window % 2 == 0 ? emulation::Order::kEarly : emulation::Order::kLate,
                                 .compute_capability = capability};
        const auto logits = run(*open(model, {.precision = precision}), batch.view());
        const double allowed = testing::tolerance(EngineKind::kCuda, precision).generated;
        for (size_t i = 0; i < logits.size(); ++i)
          EXPECT_NEAR(logits[i], expected[i], allowed)
              << word_of(precision) << " heads of " << head << " window " << window << " length " << batch.length(i);
      }
    }
  }
  emulation::settings() = {};
}

}  // namespace
}  // namespace rerank
