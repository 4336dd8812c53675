// Tokenizers that are built from vocabularies give the ids that transformers gives with them
// (tools/goldens/tokenizers/make_built.py); broken vocabularies are refused by name.
#include "text/files/tokenizer_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/strings.h"
#include "simdjson.h"
#include "text/files/gguf_tokenizer.h"
#include "text/files/sentencepiece_file.h"
#include "text/tokenizer.h"

namespace rerank::text {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kRecorded = std::string(RERANKD_SOURCE_DIR) + "/tests/data/tokenizers/built/";

std::vector<int32_t> ids_of(const simdjson::dom::element& json) {
  std::vector<int32_t> ids;
  for (const simdjson::dom::element id : simdjson::dom::array(json)) ids.push_back(int32_t(int64_t(id)));
  return ids;
}

class BuiltTokenizerTest : public ::testing::TestWithParam<const char*> {};

TEST_P(BuiltTokenizerTest, GivesTheIdsOfTransformers) {
  const std::string folder = kRecorded + GetParam();
  const auto tokenizer = Tokenizer::from_folder(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto encode = [&](std::string_view text) {
    std::vector<int32_t> ids;
    (*tokenizer)->encode(text, ids);
    return ids;
  };
  std::ifstream file(folder + "/golden.jsonl");
  simdjson::dom::parser parser;
  size_t compared = 0;
  for (std::string line; std::getline(file, line); ++compared) {
    const simdjson::dom::element golden = parser.parse(line);
    simdjson::dom::element pair;
    if (golden["pair"].get(pair) == simdjson::SUCCESS) {
      const auto query = encode("rain"), document = encode("sunny weather");
      EXPECT_EQ(join_pair((*tokenizer)->pair_template(), query, document, {}).ids, ids_of(pair));
    } else {
      const std::string_view text = golden["text"];
      EXPECT_EQ(encode(text), ids_of(golden["ids"])) << text;
    }
  }
  EXPECT_GT(compared, 30u);
}

INSTANTIATE_TEST_SUITE_P(Recorded, BuiltTokenizerTest,
                         ::testing::Values("bert", "bert-cased", "bert-older", "mpnet", "xlmr", "deberta",
                                           "deberta-lower", "albert"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// A copy of a recorded folder, in which a file has other bytes.
std::string error_with(const std::string& folder, const std::string& file, const std::string& bytes) {
  const fs::path copy = fs::path(::testing::TempDir()) / "built_tokenizer";
  fs::remove_all(copy);
  fs::copy(kRecorded + folder, copy);
  std::ofstream(copy / file, std::ios::binary) << bytes;
  const auto tokenizer = Tokenizer::from_folder(copy.string());
  return tokenizer.ok() ? "ok" : std::string(message_of(tokenizer.status()));
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(TokenizerFilesTest, WhatCannotBeBuiltIsRefusedByName) {
  EXPECT_THAT(error_with("bert", "config.json", R"({"model_type": "tapas"})"),
              AllOf(HasSubstr("vocab.txt"), HasSubstr("model_type tapas"), HasSubstr("save_pretrained")));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"tokenizer_class": "BertJapaneseTokenizer"})"),
              HasSubstr("tokenizer_class BertJapaneseTokenizer"));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"do_basic_tokenize": false})"),
              HasSubstr("do_basic_tokenize"));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"do_lower_case": "yes"})"), HasSubstr("do_lower_case"));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"mask_token": 3})"), HasSubstr("mask_token"));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"added_tokens_decoder": {"x": "a"}})"),
              HasSubstr("added_tokens_decoder.x"));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", R"({"added_tokens_decoder": {"7": {"content": "<new>"}}})"),
              AllOf(HasSubstr("<new>"), HasSubstr("number 7")));
  EXPECT_THAT(error_with("bert", "tokenizer_config.json", "[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(error_with("bert", "vocab.txt", "\xff\xfe"), HasSubstr("vocab.txt: not UTF-8"));
  EXPECT_THAT(error_with("xlmr", "sentencepiece.bpe.model", "version https://git-lfs"), HasSubstr("not a model of"));
  // A folder of its own: other programs of the suite keep their files in TempDir().
  const fs::path empty = fs::path(::testing::TempDir()) / "no_tokenizer";
  fs::create_directories(empty);
  const auto none = Tokenizer::from_folder(empty.string());
  EXPECT_TRUE(absl::IsNotFound(none.status()));
}

TEST(SentencePieceFileTest, CutOrChangedFilesDoNoHarm) {
  const std::string whole = bytes_of(kRecorded + "deberta/spm.model");
  ASSERT_TRUE(read_sentencepiece(whole, "spm.model").ok());
  for (size_t size = 0; size < 200; ++size) (void)read_sentencepiece(whole.substr(0, size), "spm.model").ok();
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string changed = whole;
    for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    (void)read_sentencepiece(changed, "spm.model").ok();
  }
  // A length that reaches past the file takes no memory.
  EXPECT_FALSE(read_sentencepiece("\x0a\xff\xff\xff\x7f", "spm.model").ok());
  EXPECT_FALSE(read_sentencepiece("", "spm.model").ok());
}

// A tokenizer inside a GGUF file gives the ids of the tokenizer.json that it was made from.
TEST(GgufTokenizerTest, IsTheOneThatTheFileWasMadeFrom) {
  const std::string data = std::string(RERANKD_SOURCE_DIR) + "/tests/data/";
  for (const auto& [made, from] :
       {std::pair{"gguf/qwen3-q8_0", "decoders/qwen3-a"}, std::pair{"gguf/qwen3-q8_0/model.gguf", "decoders/qwen3-a"},
        std::pair{"gguf/xlm-roberta-q8_0", "models/xlm-roberta-a"}}) {
    SCOPED_TRACE(made);
    const auto ours = Tokenizer::from_folder(data + made), theirs = Tokenizer::from_folder(data + from);
    ASSERT_TRUE(ours.ok()) << ours.status();
    ASSERT_TRUE(theirs.ok()) << theirs.status();
    // The recorded model's own normalizer is another than XLM-RoBERTa's.
    const bool plain = std::string_view(made).find("xlm") != std::string_view::npos;
    for (const std::string_view text : {"rain in the city", "  two  blanks\n\nand lines ", "It's 12:30, isn't it?",
                                        "caf\xC3\xA9 \xE5\x8C\x97\xE4\xBA\xAC", "<|im_start|>user\nyes<|im_end|>",
                                        "<s>a</s> <mask> b", "\t tabs\t", ""}) {
      if (plain && text != "rain in the city") continue;
      std::vector<int32_t> a, b;
      (*ours)->encode(text, a);
      (*theirs)->encode(text, b);
      EXPECT_EQ(a, b) << text;
      EXPECT_EQ(join_pair((*ours)->pair_template(), a, a, {}).ids, join_pair((*theirs)->pair_template(), b, b, {}).ids);
    }
    EXPECT_EQ((*ours)->added_tokens().size(), (*theirs)->added_tokens().size());
  }
}

TEST(GgufTokenizerTest, OneThatIsNotRebuiltIsRefused) {
  const fs::path folder = fs::path(::testing::TempDir()) / str_cat("gguf_tokenizer_", ::getpid());
  fs::create_directories(folder);
  fs::copy_file(std::string(RERANKD_SOURCE_DIR) + "/tests/data/gguf/gemma-bf16/model.gguf", folder / "model.gguf",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(std::string(message_of(Tokenizer::from_folder(folder.string()).status())),
              HasSubstr("tokenizer.ggml.tokens is missing"));
  fs::remove_all(folder);
}

// The numbers of a GGUF file's arrays are read as float32 instead of int32: 1 becomes 1e-45.
TEST(GgufTokenizerTest, NumbersThatAreNoTypesOfTokensAreRefused) {
  const std::string path = std::string(RERANKD_SOURCE_DIR) + "/tests/data/gguf/qwen3-q8_0/model.gguf";
  ASSERT_TRUE(gguf_tokenizer_json(path).ok());
  std::ifstream in(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::string key = "tokenizer.ggml.token_type";
  const size_t at = bytes.find(key);
  ASSERT_NE(at, std::string::npos);
  char& type = bytes[at + key.size() + 4];  // after the array's own
  ASSERT_EQ(type, 5) << "int32";
  type = 6;
  const fs::path damaged = fs::path(::testing::TempDir()) / str_cat("types-", getpid(), ".gguf");
  std::ofstream(damaged, std::ios::binary) << bytes;
  const auto refused = gguf_tokenizer_json(damaged);
  fs::remove(damaged);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("token_type holds a number"));
}

}  // namespace
}  // namespace rerank::text
