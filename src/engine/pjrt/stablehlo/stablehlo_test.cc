// Programs as text: committed ones stay as they are, and every architecture has weights for what its program asks for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/strings.h"
#include "engine/pjrt/shapes.h"
#include "engine/pjrt/stablehlo/forward.h"
#include "engine/pjrt/stablehlo/weights.h"
#include "support/golden.h"

namespace rerank::engine::pjrt {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const model::Model> load(const std::string& folder) {
  auto model = model::load_model(folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

struct Golden {
  const char* model;
  Rectangle shape;
  Element matrices;
  const char* file;
};

class ProgramTextTest : public ::testing::TestWithParam<Golden> {};

// After a change that is meant: rerankd convert MODEL OUT --to stablehlo --pjrt-shapes SHAPE --precision P.
TEST_P(ProgramTextTest, IsTheCommittedOne) {
  const auto model = load(str_cat(RERANKD_SOURCE_DIR "/tests/data/", GetParam().model));
  const std::string text = write_forward(model->architecture(), GetParam().shape, GetParam().matrices).text;
  const std::string path = str_cat(RERANKD_SOURCE_DIR "/tests/data/stablehlo/", GetParam().file);
  std::ifstream in(path);
  const std::string committed{std::istreambuf_iterator<char>(in), {}};
  EXPECT_TRUE(text == committed) << path << " is another program than is written now";
}

INSTANTIATE_TEST_SUITE_P(
    Goldens, ProgramTextTest,
    ::testing::Values(Golden{"models/bert-a", {2, 16}, Element::kF32, "bert-a-2x16-fp32.mlir"},
                      Golden{"models/bert-a", {2, 16}, Element::kBF16, "bert-a-2x16-bf16.mlir"},
                      Golden{"models/modernbert-a", {2, 16}, Element::kF32, "modernbert-a-2x16-fp32.mlir"},
                      Golden{"models/deberta-a", {2, 16}, Element::kF32, "deberta-a-2x16-fp32.mlir"},
                      Golden{"decoders/qwen3-a", {2, 16}, Element::kF32, "qwen3-a-2x16-fp32.mlir"}));

TEST(ProgramTest, EveryArgumentHasAWeightOfItsSize) {
  std::vector<std::string> folders = testing::golden_models();
  for (const std::string& folder : testing::decoder_models()) folders.push_back(folder);
  for (const std::string& folder : folders) {
    const auto model = load(folder);
    const NamedWeights weights(*model);
    const ForwardProgram program = write_forward(model->architecture(), {2, 16}, Element::kBF16);
    EXPECT_GE(program.inputs, 2u);
    for (size_t i = program.inputs; i < program.arguments.size(); ++i) {
      const auto values = weights.floats(program.arguments[i]);
      EXPECT_TRUE(values.ok()) << folder << ": " << values.status();
    }
    EXPECT_FALSE(weights.floats({"%nothing", {}}).ok());
  }
}

// Weights stay on the device whatever the shape: programs must ask for the same ones.
TEST(ProgramTest, WeightsDoNotDependOnTheShape) {
  for (const std::string& folder : testing::golden_models()) {
    const auto model = load(folder);
    const ForwardProgram a = write_forward(model->architecture(), {1, 8}, Element::kF32);
    const ForwardProgram b = write_forward(model->architecture(), {4, 32}, Element::kF32);
    ASSERT_EQ(a.arguments.size(), b.arguments.size()) << folder;
    for (size_t i = a.inputs; i < a.arguments.size(); ++i) {
      EXPECT_EQ(a.arguments[i].name, b.arguments[i].name) << folder;
      EXPECT_EQ(a.arguments[i].type, b.arguments[i].type) << folder;
    }
  }
}

// What a plugin of 2025 knows; a newer operation would be refused by it.
TEST(ProgramTest, OperationsAreOldOnes) {
  const std::set<std::string> known = {
      "abs",      "add",         "and",         "broadcast_in_dim", "compare", "concatenate", "constant", "convert",
      "divide",   "dot_general", "exponential", "gather",           "iota",    "maximum",     "multiply", "negate",
      "or",       "pad",         "reduce",      "reshape",          "rsqrt",   "select",      "sign",     "slice",
      "subtract", "tanh",        "transpose"};
  std::vector<std::string> folders = testing::golden_models();
  for (const std::string& folder : testing::decoder_models()) folders.push_back(folder);
  for (const std::string& folder : folders) {
    const std::string text = write_forward(load(folder)->architecture(), {2, 16}, Element::kF32).text;
    for (size_t at = text.find("stablehlo."); at != std::string::npos; at = text.find("stablehlo.", at + 1)) {
      const size_t begin = at + std::string_view("stablehlo.").size();
      const std::string name = text.substr(begin, text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", begin) - begin);
      EXPECT_TRUE(known.contains(name)) << folder << ": stablehlo." << name;
    }
  }
}

TEST(ProgramTest, Fp32IsComputedAsFp32) {
  const auto model = load(RERANKD_SOURCE_DIR "/tests/data/models/bert-a");
  const std::string fp32 = write_forward(model->architecture(), {2, 16}, Element::kF32).text;
  EXPECT_THAT(fp32,
              AllOf(HasSubstr("precision = [HIGHEST, HIGHEST]"), Not(HasSubstr("DEFAULT")), Not(HasSubstr("bf16"))));
  EXPECT_THAT(write_forward(model->architecture(), {2, 16}, Element::kBF16).text, HasSubstr("x32xbf16>"));
}

TEST(ShapesTest, TheFirstHoldsAnythingAndTheSecondMostOfTheWork) {
  EXPECT_EQ(shapes_text(default_shapes(512, true)), "2x512, 64x128, 128x64, 32x256, 16x512, 16x64, 8x128, 4x256");
  EXPECT_EQ(shapes_text(default_shapes(512, false)), "1x512, 16x128, 32x64, 8x256, 4x512, 8x64, 4x128, 2x256");
  EXPECT_EQ(shapes_text(default_shapes(48, false)), "10x48, 42x48");
  EXPECT_EQ(default_shapes(8192, true)[0], (Rectangle{1, 8192}));
}

TEST(ShapesTest, TextIsReadAndRefused) {
  EXPECT_THAT(*parse_shapes("8x64,2x128,1x128", 512),
              ElementsAre(Rectangle{1, 128}, Rectangle{8, 64}, Rectangle{2, 128}));
  for (const char* wrong : {"", "8", "8x", "x8", "0x8", "8x0", "8x8x8", "-1x8", "8x513", "1000000000x512"})
    EXPECT_FALSE(parse_shapes(wrong, 512).ok()) << wrong;
}

}  // namespace
}  // namespace rerank::engine::pjrt
