// GGUF files: what tools/goldens/make_gguf_goldens.py recorded reads as the gguf package reads it; files that lack what
// scores are made with, and hostile ones, are refused. Their logits are held by tests/conformance.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/gguf/gguf.h"
#include "base/strings.h"
#include "model/files/gguf_model.h"
#include "model/weights.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kRecorded = std::string(RERANKD_SOURCE_DIR) + "/tests/data/gguf/";

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string written(const std::string& bytes) {
  const std::string path = str_cat(::testing::TempDir(), "/gguf_test_", ::getpid(), ".gguf");
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

// A file of keys and tensors, as text that numbers are appended to.
struct Written {
  std::string header, data;
  uint64_t keys = 0, tensors = 0;
  uint32_t version = 3;

  template <class T>
  static std::string number(T value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  }
  static std::string text(const std::string& value) { return number<uint64_t>(value.size()) + value; }

  std::string keys_text, tensors_text;
  Written& key(const std::string& name, const std::string& value) {
    keys_text += text(name) + number<uint32_t>(8) + text(value);
    ++keys;
    return *this;
  }
  Written& key(const std::string& name, uint32_t value) {
    keys_text += text(name) + number<uint32_t>(4) + number(value);
    ++keys;
    return *this;
  }
  Written& tensor(const std::string& name, const std::vector<uint64_t>& sizes, uint32_t type, uint64_t offset) {
    tensors_text += text(name) + number<uint32_t>(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) tensors_text += number(size);
    tensors_text += number(type) + number(offset);
    ++tensors;
    return *this;
  }
  std::string file(size_t data_bytes = 64) const {
    std::string out = "GGUF" + number(version) + number(tensors) + number(keys) + keys_text + tensors_text;
    out.resize((out.size() + 31) / 32 * 32);
    return out + std::string(data_bytes, '\0');
  }
};

std::string error_of(const Status& status) { return status.ok() ? "ok" : std::string(message_of(status)); }
std::string parse_error(const std::string& bytes) {
  return error_of(GgufFile::parse(std::as_bytes(std::span(bytes.data(), bytes.size()))).status());
}
std::string config_error(const Written& file) { return error_of(gguf_config_json(written(file.file())).status()); }

TEST(GgufTest, BlocksReadAsTheGgufPackageReadsThem) {
  // The architecture of the file of blocks is none of ours: its tensors are read by hand.
  std::string bytes = bytes_of(kRecorded + "blocks.gguf");
  const size_t at = bytes.find("test");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 4, "bert");
  const auto files = TensorFiles::open_file(written(bytes));
  ASSERT_TRUE(files.ok()) << files.status();
  for (const char* type : {"F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"}) {
    SCOPED_TRACE(type);
    const TensorView &blocks = (*files)->tensors().at(type),
                     &expected = (*files)->tensors().at(str_cat(type, ".expected"));
    EXPECT_STREQ(dtype_name(blocks.dtype), type);
    EXPECT_EQ(blocks.shape, (std::vector<size_t>{3, 512}));
    EXPECT_EQ(blocks.shape, expected.shape);
    const std::vector<float> read = blocks.floats(), wanted = expected.floats();
    for (size_t i = 0; i < read.size(); ++i) ASSERT_NEAR(read[i], wanted[i], 1e-6 * std::abs(wanted[i])) << i;
    std::vector<float> part(300);  // from the middle of a block into another
    blocks.read_floats(600, part);
    for (size_t i = 0; i < part.size(); ++i) ASSERT_EQ(part[i], read[600 + i]) << i;
  }
}

TEST(GgufTest, AFileOrItsFolderIsAModel) {
  for (const char* name : {"qwen3-q8_0", "qwen3-q8_0/model.gguf"}) {
    const auto model = load_model(kRecorded + name);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->config.architecture_name, "Qwen3ForCausalLM");
    const Answers& answers = *(*model)->architecture().scoring.answers;
    EXPECT_TRUE(answers.positive_id && answers.negative_id);  // of the tokens in the file
    EXPECT_EQ((*model)->weights.layers[0].query.weight.dtype, DType::kQ80);
  }
  const auto ranked = load_model(kRecorded + "qwen3-rank-f16");
  ASSERT_TRUE(ranked.ok()) << ranked.status();
  EXPECT_EQ((*ranked)->config.architecture_name, "Qwen3ForSequenceClassification");
  EXPECT_EQ((*ranked)->architecture().scoring.labels, 2u);
}

TEST(GgufTest, SeveralFilesAreOneTooMany) {
  const fs::path folder = fs::path(::testing::TempDir()) / str_cat("gguf_several_", ::getpid());
  fs::create_directories(folder);
  for (const char* name : {"a-Q8_0.gguf", "a-Q4_0.gguf"}) std::ofstream(folder / name) << "GGUF";
  EXPECT_THAT(error_of(load_model(folder.string()).status()),
              AllOf(HasSubstr("several GGUF files"), HasSubstr("a-Q4_0.gguf, a-Q8_0.gguf")));
  fs::remove_all(folder);
}

TEST(GgufTest, AFileThatLacksWhatScoresAreMadeWithIsRefused) {
  EXPECT_THAT(config_error(Written().key("general.architecture", "t5")),
              AllOf(HasSubstr("general.architecture t5 is not supported"), HasSubstr("qwen3")));
  EXPECT_THAT(config_error(Written()), HasSubstr("no general.architecture"));
  EXPECT_THAT(config_error(Written().key("general.architecture", "qwen3")),
              HasSubstr("its key qwen3.embedding_length is missing"));
  Written bert;
  bert.key("general.architecture", "bert").key("tokenizer.ggml.model", "bert");
  for (const char* key : {"embedding_length", "block_count", "attention.head_count", "feed_forward_length"})
    bert.key(str_cat("bert.", key), 4u);
  EXPECT_THAT(config_error(bert), HasSubstr("leaves out bert.pooler.dense"));
  Written modern;
  modern.key("general.architecture", "modern-bert");
  for (const char* key : {"embedding_length", "block_count", "attention.head_count", "feed_forward_length"})
    modern.key(str_cat("modern-bert.", key), 4u);
  EXPECT_THAT(config_error(modern), HasSubstr("config.json beside it"));
}

TEST(GgufTest, HostileHeadersAreRefused) {
  const auto tensor = [](const std::vector<uint64_t>& sizes, uint32_t type, uint64_t offset) {
    return Written().key("general.architecture", "qwen3").tensor("x", sizes, type, offset).file();
  };
  EXPECT_THAT(parse_error("version https://git-lfs"), HasSubstr("not a GGUF file"));
  Written other;
  other.version = 1;
  EXPECT_THAT(parse_error(other.file()), HasSubstr("GGUF version 1"));
  Written many;
  many.tensors = uint64_t{1} << 60;
  EXPECT_THAT(parse_error(many.file()), HasSubstr("the limits are"));
  EXPECT_THAT(parse_error(tensor({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)),
              HasSubstr("a size that no file holds"));
  EXPECT_THAT(parse_error(tensor({4, 0}, 0, 0)), HasSubstr("a size that no file holds"));
  EXPECT_THAT(parse_error(tensor({2, 2, 2, 2, 2}, 0, 0)), HasSubstr("5 dimensions"));
  EXPECT_THAT(parse_error(tensor({4}, 0, 4096)), HasSubstr("lies outside the file"));
  EXPECT_THAT(parse_error(tensor({4}, 0, 1)), HasSubstr("lies outside the file"));
  Written overlap;
  overlap.tensor("x", {4}, 0, 0).tensor("y", {4}, 0, 0);
  EXPECT_THAT(parse_error(overlap.file()), HasSubstr("where another does"));
  EXPECT_THAT(parse_error(Written().key("a", 1u).key("a", 2u).file()), HasSubstr("appears twice"));
  EXPECT_THAT(parse_error(Written().key("general.alignment", 3u).file()), HasSubstr("no power of two"));
  const auto open_error = [&](const std::string& bytes) {
    return error_of(TensorFiles::open_file(written(bytes)).status());
  };
  EXPECT_THAT(open_error(tensor({17}, 0, 0)), HasSubstr("longer than the room"));
  EXPECT_THAT(open_error(tensor({33}, 8, 0)), HasSubstr("no whole blocks of Q8_0"));
}

TEST(GgufTest, EveryCutAndEveryChangedByteEndsWell) {
  const std::string whole = bytes_of(kRecorded + "qwen3-rank-f16/model.gguf");
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    if (i % 2 == 0) {
      bytes.resize(random() % bytes.size());
    } else {
      bytes[random() % 12000] = static_cast<char>(random());
    }
    const std::string path = written(bytes);
    const auto files = TensorFiles::open_file(path);
    std::ignore = gguf_config_json(path);
    if (!files.ok()) continue;
    for (const auto& [name, view] : (*files)->tensors()) std::ignore = view.floats();
  }
}

}  // namespace
}  // namespace rerank::model
