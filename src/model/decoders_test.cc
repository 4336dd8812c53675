// What decoders' folders say, and can say wrongly: config.json, the answers' tokens, heads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "model/weights.h"

namespace rerank::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) { return *read_file(path.string(), 16u << 20); }

// A recorded decoder in a folder of the test's own, with changes of its files: each the name, what is there, what it
// becomes.
struct Change {
  std::string file, from, to;
};
std::string recorded_with(const std::string& name, const std::vector<Change>& changes = {}) {
  const std::filesystem::path source = std::string(RERANKD_SOURCE_DIR "/tests/data/decoders/") + name,
                              folder = ::testing::TempDir() + "/decoders_test";
  std::filesystem::remove_all(folder);
  std::filesystem::copy(source, folder);
  for (const Change& change : changes) {
    std::string text = text_of(folder / change.file);
    const size_t at = text.find(change.from);
    EXPECT_NE(at, std::string::npos) << change.from;
    std::ofstream(folder / change.file) << text.replace(at, change.from.size(), change.to);
  }
  return folder.string();
}

std::string error_of(const std::string& folder) {
  auto model = load_model(folder);
  return model.ok() ? "ok" : std::string(message_of(model.status()));
}

std::string error_of_config(const char* name, const std::string& from, const std::string& to) {
  return error_of(recorded_with(name, {{"config.json", from, to}}));
}

std::shared_ptr<const Model> load(const std::string& folder) {
  auto model = load_model(folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

TEST(DecoderTest, Qwen3IsRead) {
  const auto model = load(recorded_with("qwen3-a"));
  const Architecture& a = model->architecture();
  const Attention& attention = a.blocks[0].attention;
  EXPECT_EQ(a.norm, NormKind::kRms);
  EXPECT_EQ(attention.heads, 4u);
  EXPECT_EQ(attention.kv_heads, 2u);
  EXPECT_EQ(attention.head_size, 16u);
  EXPECT_EQ(attention.mask, MaskKind::kCausal);
  EXPECT_EQ(attention.rope.theta, 1e6f);
  EXPECT_TRUE(attention.query_key_norm);
  EXPECT_EQ(a.scoring.rows, ScoredRows::kLast);
  EXPECT_EQ(a.scoring.labels, 1u);
  EXPECT_EQ(a.input.kind, InputTemplate::Kind::kPrompt);
}

// The words' rows of "yes" and "no", since the files have no lm_head.
TEST(DecoderTest, TheHeadIsTheDifferenceOfTheAnswersRows) {
  const auto model = load(recorded_with("qwen3-a"));
  const Answers& answers = *model->architecture().scoring.answers;
  EXPECT_NE(answers.positive_id, answers.negative_id);
  const size_t hidden = model->architecture().hidden;
  std::vector<float> yes(hidden), no(hidden);
  model->weights.words.read_floats(*answers.positive_id * hidden, yes);
  model->weights.words.read_floats(*answers.negative_id * hidden, no);
  const auto head = model->weights.head_output.weight.floats();
  ASSERT_EQ(head.size(), hidden);
  for (size_t i = 0; i < hidden; ++i) EXPECT_EQ(head[i], yes[i] - no[i]);
}

TEST(DecoderTest, ALogitScoreModuleNamesTheTokens) {
  const std::string folder = recorded_with("qwen3-a");
  std::filesystem::create_directory(folder + "/1_LogitScore");
  std::ofstream(folder + "/modules.json")
      << R"([{"type": "sentence_transformers.base.modules.transformer.Transformer", "path": ""},
      {"type": "sentence_transformers.cross_encoder.modules.LogitScore", "path": "1_LogitScore"}])";
  const auto say = [&](const char* json) { std::ofstream(folder + "/1_LogitScore/config.json") << json; };
  say(R"({"true_token_id": 7, "false_token_id": null})");
  const auto model = load(folder);
  std::vector<float> row(model->architecture().hidden);
  model->weights.words.read_floats(7 * row.size(), row);
  EXPECT_EQ(model->weights.head_output.weight.floats(), row);
  say(R"({"true_token_id": 7, "false_token_id": 9})");
  EXPECT_EQ(load(folder)->architecture().scoring.answers->negative_id, 9u);
  say(R"({"true_token_id": 700, "false_token_id": null})");
  EXPECT_THAT(error_of(folder), HasSubstr("the answer's token 700 is outside the vocabulary of 296"));
  say(R"({"false_token_id": 1})");
  EXPECT_THAT(error_of(folder), HasSubstr("true_token_id"));
  std::ofstream(folder + "/modules.json") << R"([{"type": "x.LogitScore", "path": "../elsewhere"}])";
  EXPECT_THAT(error_of(folder), HasSubstr("leaves the model's folder"));
}

TEST(DecoderTest, AnAnswerThatIsNoTokenIsRefused) {
  EXPECT_THAT(error_of(recorded_with("qwen3-a", {{"tokenizer.json", "\"yes\": ", "\"yess\": "}})),
              AllOf(HasSubstr("tokenizer.json"), HasSubstr("\"yes\" is not one token")));
  const std::string folder = recorded_with("qwen3-a");
  std::filesystem::remove(folder + "/tokenizer.json");
  EXPECT_THAT(error_of(folder), HasSubstr("tokenizer.json"));
}

TEST(DecoderTest, ZerankIsKnownByItsCode) {
  const std::string folder =
      recorded_with("qwen3-a", {{"config.json", R"("model_type": "qwen3")",
                                 R"("model_type": "qwen3", "auto_map": {"AutoConfig": "modeling_zeranker.ZEConfig"})"},
                                {"tokenizer.json", "\"yes\": ", "\"Yes\": "}});
  const auto model = load(folder);
  const Architecture& a = model->architecture();
  EXPECT_EQ(a.input.prompt, "zerank-2");
  EXPECT_EQ(a.scoring.answers->positive, "Yes");
  EXPECT_FALSE(a.scoring.answers->two());
}

TEST(DecoderTest, RerankersOfAnotherKindAreRefusedWithTheReason) {
  const auto error_as = [](const char* name) { return error_of_config("qwen3-a", "Qwen3ForCausalLM", name); };
  EXPECT_THAT(error_as("CostWiseGemmaForCausalLM"), HasSubstr("takes tokens together between its layers"));
  EXPECT_THAT(error_as("Qwen3VLForSequenceClassification"), HasSubstr("reads images"));
  EXPECT_THAT(error_as("T5ForConditionalGeneration"), HasSubstr("with a decoder after an encoder"));
}

TEST(DecoderTest, BothFormsOfRopeAreRead) {
  EXPECT_EQ(load(recorded_with("llama-a"))->architecture().blocks[0].attention.rope,
            (Rope{.theta = 10000, .llama3 = 8, .low_factor = 1, .high_factor = 4, .original = 64}));
  EXPECT_EQ(load(recorded_with("llama-b"))->architecture().blocks[0].attention.rope,  // rope_theta, rope_scaling
            (Rope{.theta = 10000, .divisor = 4}));
}

TEST(DecoderTest, WhatWouldChangeScoresIsRefusedByName) {
  EXPECT_THAT(error_of_config("qwen3-a", R"("rope_type": "default")", R"("rope_type": "yarn")"),
              HasSubstr("RoPE scaling of type yarn is not supported"));
  EXPECT_THAT(error_of_config("llama-a", R"("low_freq_factor": 1.0,)", ""), HasSubstr("low_freq_factor"));
  EXPECT_THAT(error_of_config("llama-a", R"("low_freq_factor": 1.0,)", R"("low_freq_factor": 9.0,)"),
              HasSubstr("high_freq_factor is not above low_freq_factor"));
  EXPECT_THAT(error_of_config("llama-a", R"("factor": 8.0,)", R"("factor": -8.0,)"),
              HasSubstr("factor is not above 0"));
  EXPECT_THAT(error_of_config("qwen3-a", R"("use_sliding_window": false)", R"("use_sliding_window": true)"),
              HasSubstr("use_sliding_window"));
  EXPECT_THAT(error_of_config("qwen3-a", R"("num_key_value_heads": 2)", R"("num_key_value_heads": 3)"),
              HasSubstr("num_attention_heads 4 is not a multiple of num_key_value_heads 3"));
  EXPECT_THAT(error_of_config("qwen3-a", R"("head_dim": 16)", R"("head_dim": 15)"), HasSubstr("head_dim is not even"));
  EXPECT_THAT(error_of_config("qwen3-a", R"("head_dim": 16)", R"("head_dim": 32)"), HasSubstr("q_proj"));
  EXPECT_THAT(error_of_config("qwen3-a", "Qwen3ForCausalLM", "Qwen3ForSequenceClassification"),
              HasSubstr("score.weight is missing"));
  EXPECT_THAT(error_of_config("qwen3-a", R"("vocab_size": 296)", R"("vocab_size": 100)"), HasSubstr("embed_tokens"));
}

}  // namespace
}  // namespace rerank::model
