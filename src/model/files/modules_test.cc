// Folders of sentence-transformers' modules: what is read of them, and that the rest is refused by name. Their logits
// are held by tests/conformance (ettin-a, ettin-b).
#include "model/files/modules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "model/weights.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kModels = std::string(RERANKD_SOURCE_DIR) + "/tests/data/models/";

TEST(ModulesTest, AHeadOfModulesIsRead) {
  const auto ettin = load_model(kModels + "ettin-a");
  ASSERT_TRUE(ettin.ok()) << ettin.status();
  const Scoring& scoring = (*ettin)->architecture().scoring;
  EXPECT_EQ(scoring.rows, ScoredRows::kFirst);
  EXPECT_TRUE(scoring.dense && scoring.norm && scoring.norm_bias && scoring.output_bias);
  EXPECT_FALSE(scoring.dense_bias);
  EXPECT_EQ(scoring.activation, Activation::kGelu);
  EXPECT_EQ(scoring.labels, 1u);
  const auto older = load_model(kModels + "ettin-b");
  ASSERT_TRUE(older.ok()) << older.status();
  EXPECT_EQ((*older)->architecture().scoring.rows, ScoredRows::kMean);
  EXPECT_FALSE((*older)->architecture().scoring.norm);
}

// What loading ettin-a says where `from` in one of its files is `to`.
std::string error_with(const std::string& file, const std::string& from, const std::string& to) {
  const fs::path copy = fs::path(::testing::TempDir()) / "modules_test";
  fs::remove_all(copy);
  fs::copy(kModels + "ettin-a", copy, fs::copy_options::recursive);
  std::ifstream in(copy / file);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  std::ofstream(copy / file) << text.replace(at, from.size(), to);
  const auto model = load_model(copy.string());
  return model.ok() ? "ok" : std::string(message_of(model.status()));
}

TEST(ModulesTest, WhatIsNotComputedIsRefusedByName) {
  EXPECT_THAT(error_with("1_Pooling/config.json", "\"cls\"", "\"lasttoken\""), HasSubstr("pooling_mode lasttoken"));
  EXPECT_THAT(error_with("2_Dense/config.json", "GELU", "Mish"), AllOf(HasSubstr("Mish"), HasSubstr("2_Dense")));
  EXPECT_THAT(error_with("4_Dense/config.json", "linear.Identity", "activation.Sigmoid"), HasSubstr("Sigmoid"));
  EXPECT_THAT(error_with("4_Dense/config.json", "\"out_features\": 1", "\"out_features\": 3"),
              HasSubstr("1 or 2 outputs"));
  EXPECT_THAT(error_with("modules.json", "modules.LayerNorm", "modules.Normalize"), HasSubstr("Normalize"));
  EXPECT_THAT(error_with("modules.json", "modules.Pooling", "modules.WordWeights"), HasSubstr("WordWeights"));
  EXPECT_THAT(error_with("modules.json", "\"2_Dense\"", "\"../2_Dense\""), HasSubstr("leaves the model's folder"));
  EXPECT_THAT(error_with("modules.json", "[", "{\"a\": ["), HasSubstr("not a list"));
}

// What sentence-transformers says of serving a model.
class ServingTest : public ::testing::Test {
 protected:
  ServingTest() : folder_(fs::path(::testing::TempDir()) / str_cat("serving_test_", ::getpid())) {
    fs::remove_all(folder_);
    fs::copy(kModels + "bert-a", folder_);
  }
  ~ServingTest() override { fs::remove_all(folder_); }
  void write(const std::string& file, const std::string& text) { std::ofstream(folder_ / file) << text; }
  std::string error() const {
    const auto config = read_model_config(folder_.string());
    return config.ok() ? "ok" : std::string(message_of(config.status()));
  }

  fs::path folder_;
};

TEST_F(ServingTest, LengthPromptAndActivationAreTaken) {
  write("sentence_bert_config.json", R"({"max_seq_length": 24, "do_lower_case": false})");
  write("config_sentence_transformers.json", R"({"activation_fn": "torch.nn.modules.linear.Identity",
    "prompts": {"query": "query: ", "other": "x"}, "default_prompt_name": "query"})");
  const auto config = read_model_config(folder_.string());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->served_length(), 24u);
  EXPECT_THAT(config->serving.max_length_from, HasSubstr("sentence_bert_config.json: max_seq_length"));
  EXPECT_EQ(config->serving.prompt, "query: ");
  EXPECT_EQ(config->serving.activation, "Identity");
  EXPECT_THAT(config->serving.activation_from, HasSubstr("config_sentence_transformers.json: activation_fn"));
}

TEST_F(ServingTest, NothingSaidIsNothingTaken) {
  write("config_sentence_transformers.json", R"({"prompts": {"query": "q"}, "default_prompt_name": null})");
  write("sentence_bert_config.json", R"({"max_seq_length": null})");
  const auto config = read_model_config(folder_.string());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->served_length(), config->max_length());
  EXPECT_EQ(config->serving.prompt + config->serving.activation, "");
}

TEST_F(ServingTest, WhatIsNotOfItsKindIsRefused) {
  write("config_sentence_transformers.json", R"({"prompts": {"query": "q"}, "default_prompt_name": "passage"})");
  EXPECT_THAT(error(), AllOf(HasSubstr("default_prompt_name"), HasSubstr("none of `prompts`")));
  write("config_sentence_transformers.json", "{}");
  write("sentence_bert_config.json", R"({"max_seq_length": "long"})");
  EXPECT_THAT(error(), HasSubstr("sentence_bert_config.json: max_seq_length"));
}

}  // namespace
}  // namespace rerank::model
