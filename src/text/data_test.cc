// The vocabularies of real models, which are too large to commit: the folder that the environment variable RERANKD_DATA
// names. Tests skip themselves without it.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "simdjson.h"
#include "text/tokenizer.h"

namespace rerank::text {
namespace {

namespace fs = std::filesystem;

class Data : public testing::Test {
 protected:
  // The tokenizer in a folder of the data; skips the test without it.
  void load(const char* folder) {
    const char* root = std::getenv("RERANKD_DATA");
    if (root == nullptr || !fs::exists(fs::path(root) / folder / "tokenizer.json")) {
      GTEST_SKIP() << "needs RERANKD_DATA with " << folder << "/tokenizer.json";
    }
    path_ = fs::path(root) / folder;
    auto tokenizer = Tokenizer::from_folder(path_.string());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *tokenizer;
  }

  std::vector<int32_t> encode(std::string_view text) const {
    std::vector<int32_t> ids;
    tokenizer_->encode(text, ids);
    return ids;
  }

  std::string read(const char* name) const {
    std::ostringstream out;
    out << std::ifstream(path_ / name, std::ios::binary).rdbuf();
    return out.str();
  }

  fs::path path_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// 9,909 lines of multilingual text with the tokens of Hugging Face's BertTokenizer, separated by tabs.
TEST_F(Data, BertRegressionCorpus) {
  load("bert-uncased-tokenizer");
  if (!tokenizer_) return;
  std::istringstream lines(read("regression-text_bert-base-uncased.txt"));
  size_t compared = 0, different = 0;
  for (std::string line; std::getline(lines, line); ++compared) {
    if (line.ends_with('\r')) line.pop_back();
    std::string want = line.substr(line.find('\t') + 1), got;
    for (int32_t id : encode(line.substr(0, line.find('\t')))) {
      if (!got.empty()) got += '\t';
      got += tokenizer_->token_text(id);
    }
    if (got != want && different++ < 5) ADD_FAILURE() << line << "\n got " << got;
  }
  EXPECT_GT(compared, 9000u);
  EXPECT_EQ(different, 0u);
}

// llama.cpp's vectors: texts separated by a marker, a line of ids each.
TEST_F(Data, BertVectors) {
  load("bert-uncased-tokenizer");
  if (!tokenizer_) return;
  const std::string texts = read("ggml-bert-bge.inp"), marker = "\n__ggml_vocab_test__\n";
  std::istringstream lines(read("ggml-bert-bge.out"));
  size_t compared = 0;
  for (size_t at = 0; at < texts.size(); ++compared) {
    const size_t end = std::min(texts.find(marker, at), texts.size());
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    const std::vector<int32_t> want{std::istream_iterator<int32_t>(numbers), {}};
    EXPECT_EQ(encode(std::string_view(texts).substr(at, end - at)), want) << texts.substr(at, end - at);
    at = end + marker.size();
  }
  EXPECT_GT(compared, 30u);
}

// Ids that fairseq's own tokenizer gives, as Hugging Face's tests record them.
TEST_F(Data, XlmRobertaVectors) {
  load("xlmr-tokenizer");
  if (!tokenizer_) return;
  simdjson::dom::parser parser;
  size_t compared = 0;
  for (const simdjson::dom::element vector : simdjson::dom::array(parser.load((path_ / "vectors.json").string()))) {
    std::vector<int32_t> want;
    for (const simdjson::dom::element id : simdjson::dom::array(vector["ids"])) want.push_back(int32_t(int64_t(id)));
    const std::string_view text = vector["text"];
    EXPECT_EQ(join_single(tokenizer_->pair_template(), encode(text), {.max_length = 1 << 20}).ids, want) << text;
    ++compared;
  }
  EXPECT_GT(compared, 2u);
  EXPECT_EQ(tokenizer_->vocab_size(), 250002u);
}

TEST_F(Data, ModernBert) {
  load("modernbert-tokenizer");
  if (!tokenizer_) return;
  EXPECT_EQ(tokenizer_->vocab_size(), 50368u);
  const std::vector<int32_t> want{50281, 5371, 310,  247, 268,  7447, 32,    50282, 510,
                                  50276, 72,   6231, 268, 7447, 209,  50282, 50282};
  EXPECT_EQ(
      join_pair(tokenizer_->pair_template(), encode("what is a panda?"), encode("The  giant panda [SEP]"), {}).ids,
      want);
}

}  // namespace
}  // namespace rerank::text
