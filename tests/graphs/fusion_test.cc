// ONNX Runtime's optimizer finds in the graphs of `rerankd convert` what it has fused kernels for: attention, sums with
// LayerNorm, bias with GELU. Counted in the model that it makes of each.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/strings.h"
#include "convert/writers.h"
#include "engine/onnx/ort.h"
#include "engine/onnx/runtime.h"
#include "model/graph_file.h"
#include "support/golden.h"

namespace rerank {
namespace {

// How often each operator occurs in what ONNX Runtime would run.
std::map<std::string, size_t> optimized(const std::string& graph) {
  const Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "fusion_test");
  const std::string out = ::testing::TempDir() + "/optimized.onnx";
  Ort::SessionOptions options;
  options.SetGraphOptimizationLevel(GraphOptimizationLevel::ORT_ENABLE_ALL);
  options.SetOptimizedModelFilePath(out.c_str());
  options.SetIntraOpNumThreads(1);
  const Ort::Session session(env, graph.c_str(), options);
  auto file = model::read_graph_file(out);
  EXPECT_TRUE(file.ok()) << file.status();
  return file.ok() ? file->operators : std::map<std::string, size_t>();
}

class FusionTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (const auto runtime = engine::onnx::load_runtime(""); !runtime.ok()) GTEST_SKIP() << runtime.status();
  }
};

TEST_P(FusionTest, AttentionSumsAndGeluAreFused) {
  auto model = model::load_model(GetParam());
  ASSERT_TRUE(model.ok()) << model.status();
  const model::ModelConfig& config = (*model)->config;
  const std::string out = str_cat(::testing::TempDir(), "/fusion_test_", ::getpid());
  ASSERT_TRUE(convert::write_onnx(**model, out, {}).ok());
  std::map<std::string, size_t> found = optimized(out + "/" + convert::kOnnxFile);
  std::string all;
  for (const auto& [name, count] : found) all += str_cat(name, " ", count, ", ");
  const size_t layers = config.architecture.layers();
  EXPECT_EQ(found["Erf"] + found["Sqrt"] + found["ReduceMean"], 0u)
      << "GELU and LayerNorm are one operator each: " << all;
  // ONNX Runtime's fusion of whole attentions knows BERT's: no rotations, slopes or windows.
  const model::Block& block = config.architecture.blocks[0];
  if (block.attention.position != model::PositionKind::kNone || block.placement == model::NormPlacement::kPre ||
      block.attention.mask != model::MaskKind::kFull)
    return;
  if (!block.attention.bias) return;  // BERT's has biases
  // Attention is looked for after a LayerNorm, and projected embeddings have none between them and the first layer.
  EXPECT_EQ(found["Attention"], layers - ((*model)->weights.embedding_projection ? 1 : 0)) << all;
  // The last layer goes on with the first token alone, after which the optimizer sees no shapes; for a mean with all.
  const size_t whole = layers - (config.architecture.scoring.rows == model::ScoredRows::kMean ? 0 : 1);
  EXPECT_EQ(found["SkipLayerNormalization"], 2 * whole) << all;
  if (block.feed_forward.activation == model::Activation::kGelu) {
    EXPECT_EQ(found["BiasGelu"], whole) << all;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FusionTest, ::testing::ValuesIn(testing::golden_models()), [](const auto& info) {
  std::string name = std::filesystem::path(info.param).filename().string();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace rerank
