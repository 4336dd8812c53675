// Files of torch.save(): what tools/goldens/make_torch_files.py recorded reads as its values, and hostile files are
// refused before they take memory or time.
#include "model/files/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/strings.h"
#include "model/files/pickle.h"
#include "model/files/zip.h"
#include "support/tiny_model.h"

namespace rerank::model {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string recorded(const std::string& name) { return RERANKD_SOURCE_DIR "/tests/data/torch/" + name; }

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string written(const std::string& bytes, const char* name = "pytorch_model.bin") {
  const std::string path = ::testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string error_of(const std::string& bytes) {
  const auto files = TensorFiles::open_file(written(bytes));
  return files.ok() ? "ok" : std::string(message_of(files.status()));
}

std::string pickle_error(const std::string& pickle) {
  std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(pickle.data()), pickle.size());
  const auto read = read_pickle(rest);
  return read.ok() ? "ok" : std::string(message_of(read.status()));
}

// "number + k / 8", row by row.
void expect_counting(const TensorFiles& files, const char* name, float number, std::vector<size_t> shape) {
  ASSERT_TRUE(files.tensors().count(name)) << name;
  const TensorView& view = files.tensors().at(name);
  EXPECT_EQ(view.shape, shape) << name;
  const std::vector<float> found = view.floats();
  for (size_t k = 0; k < found.size(); ++k) EXPECT_EQ(found[k], number + static_cast<float>(k) / 8) << name << " " << k;
}

class TorchFormTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchFormTest, ReadsAllTypesAndStrides) {
  const auto opened = TensorFiles::open_file(recorded(GetParam()));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const TensorFiles& files = **opened;
  expect_counting(files, "plain", 1, {3, 4});
  expect_counting(files, "half", 2, {2, 3});
  expect_counting(files, "bfloat16", 3, {5});
  expect_counting(files, "double", 4, {2, 2});
  expect_counting(files, "whole", 5, {6, 4});
  expect_counting(files, "tied", 5, {6, 4});
  expect_counting(files, "rows", 6, {2, 4});
  EXPECT_THAT(files.tensors().at("columns").floats(), ElementsAre(5.125f, 5.625f, 6.125f, 6.625f, 7.125f, 7.625f));
  expect_counting(files, "transposed", 9, {3, 2});
  expect_counting(files, "parameter", 10, {2});
  expect_counting(files, "scalar", 11, {});
  EXPECT_EQ(files.tensors().at("empty").shape, (std::vector<size_t>{0, 4}));
  EXPECT_EQ(files.tensors().count("position_ids") + files.tensors().count("flags"), 0u);
  EXPECT_EQ(files.tensors().at("half").dtype, DType::kF16);
  EXPECT_EQ(files.tensors().at("double").dtype, DType::kF32);
  // Rows of one tensor are views of the file, not copies.
  EXPECT_EQ(files.tensors().at("rows").bytes.data(), files.tensors().at("whole").bytes.data() + 2 * 4 * sizeof(float));
}

TEST_P(TorchFormTest, CutOffAnywhereIsAnError) {
  const std::string whole = bytes_of(recorded(GetParam()));
  for (size_t size = 0; size < whole.size(); size += 7) EXPECT_NE(error_of(whole.substr(0, size)), "ok") << size;
}

// A byte changed at random gives an error or other values, and never reads outside of the file (for sanitizers).
TEST_P(TorchFormTest, ChangedBytesDoNoHarm) {
  const std::string whole = bytes_of(recorded(GetParam()));
  std::mt19937 random(1);
  size_t refused = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string changed = whole;
    for (uint32_t i = 0; i <= random() % 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    const auto files = TensorFiles::open_file(written(changed));
    refused += !files.ok();
    if (!files.ok()) continue;
    for (const auto& [name, view] : (*files)->tensors()) view.floats();
  }
  EXPECT_GT(refused, 100u);
}

INSTANTIATE_TEST_SUITE_P(Forms, TorchFormTest, ::testing::Values("zip.bin", "old.bin"),
                         [](const auto& info) { return std::string(info.param, strchr(info.param, '.')); });

TEST(TorchFileTest, WhatIsNoStateDictionaryIsRefusedByName) {
  EXPECT_THAT(error_of(bytes_of(recorded("checkpoint.bin"))), AllOf(HasSubstr("entry model"), HasSubstr("state_dict")));
  EXPECT_THAT(error_of(bytes_of(recorded("module.bin"))), HasSubstr("asks for torch.nn.modules.linear.Linear"));
  EXPECT_THAT(error_of("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("Git LFS"));
  EXPECT_THAT(error_of(""), HasSubstr("not a file of torch.save()"));
}

TEST(TorchFileTest, AFolderIsReadFromItsShards) {
  const std::string folder = testing::write_tiny_model({}, "torch_file_test_shards");
  std::filesystem::remove(folder + "/model.safetensors");
  std::ofstream(folder + "/pytorch_model-1.bin", std::ios::binary) << bytes_of(recorded("zip.bin"));
  const auto index = [&](const std::string& map) {
    std::ofstream(folder + "/pytorch_model.bin.index.json") << R"({"weight_map": )" << map << "}";
    return TensorFiles::open_folder(folder);
  };
  const auto good = index(R"({"plain": "pytorch_model-1.bin", "half": "pytorch_model-1.bin"})");
  ASSERT_TRUE(good.ok()) << good.status();
  expect_counting(**good, "plain", 1, {3, 4});
  EXPECT_THAT(std::string(message_of(index(R"({"other": "pytorch_model-1.bin"})").status())), HasSubstr("other"));
  EXPECT_THAT(std::string(message_of(index(R"({"plain": "../x.bin"})").status())), HasSubstr("plain"));
  EXPECT_TRUE(absl::IsNotFound(index(R"({"plain": "pytorch_model-2.bin"})").status()));
}

TEST(PickleTest, AsksForNothingButTensors) {
  EXPECT_THAT(pickle_error("\x80\x02"
                           "cos\nsystem\nX\x02\0\0\0ls\x85R."),
              HasSubstr("asks for os.system"));
  EXPECT_THAT(pickle_error("cbuiltins\neval\n."), HasSubstr("builtins.eval"));
  EXPECT_THAT(pickle_error("\x80\x04."), HasSubstr("protocol 4"));
  EXPECT_THAT(pickle_error("i"), HasSubstr("opcode 0x69"));  // INST
  EXPECT_THAT(pickle_error("ctorch\nFloatStorage\n)R."), HasSubstr("storage's class"));
  EXPECT_THAT(pickle_error("ccollections\nOrderedDict\nNb."), HasSubstr("attributes"));
  EXPECT_EQ(pickle_error("ccollections\nOrderedDict\n)R."), "ok");
}

TEST(PickleTest, TakesOnlyWhatIsThere) {
  for (const char* bad :
       {".",     "0",     "R", ")R.", "t",   "e",       "u",      "(", "((.", "}(K\x01u.",         "]K\x01s.",
        "h\x01", "q\x01", "b", "Q",   "NQ.", "}(q\x01", "(\x85.", "K", "cos", "X\xff\xff\xff\xff", "NN."}) {
    EXPECT_NE(pickle_error(bad), "ok") << bad;
  }
}

// A tensor of the given storage, offset, shape and strides.
std::string tensor_pickle(uint32_t elements, const std::string& offset, const std::string& shape,
                          const std::string& strides) {
  const std::string count(reinterpret_cast<const char*>(&elements), 4);
  return "ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\nU\x01"
         "0U\x03"
         "cpuJ" +
         count + "tQ" + offset + shape + strides + "\x89}tR.";
}

TEST(PickleTest, ATensorLiesInItsStorage) {
  const std::string huge("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f");
  EXPECT_EQ(pickle_error(tensor_pickle(6, "K\x01", "K\x05\x85", "K\x01\x85")), "ok");
  EXPECT_THAT(pickle_error(tensor_pickle(6, "K\x02", "K\x05\x85", "K\x01\x85")), HasSubstr("past its storage"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, huge, "K\x05\x85", "K\x01\x85")), HasSubstr("past its storage"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, std::string("K\0", 2), huge + "\x85", "K\x01\x85")),
              HasSubstr("past its storage"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, std::string("K\0", 2), "K\x05\x85", huge + "\x85")),
              HasSubstr("past its storage"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, std::string("K\0", 2), huge + huge + "\x86", std::string("K\0K\0\x86", 5))),
              HasSubstr("past its storage"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, "K\x01", "J\xff\xff\xff\xff\x85", "K\x01\x85")), HasSubstr("no count"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, "K\x01", "K\x05\x85", ")")), HasSubstr("strides"));
  EXPECT_THAT(pickle_error(tensor_pickle(6, "K\x01", "(" + std::string(9 * 2, 'K') + "t", ")")), HasSubstr("shape"));
}

// Recalling one long value over and over takes no more time or memory than its opcodes.
TEST(PickleTest, RecallingLargeValuesIsCheap) {
  std::string pickle = "(";
  for (int i = 0; i < 1'000'000; ++i) pickle += "N";
  pickle += "tq\x01";
  pickle += "0](";
  for (int i = 0; i < 1'000'000; ++i) pickle += "h\x01";
  EXPECT_EQ(pickle_error(pickle + "e."), "ok");
  EXPECT_THAT(pickle_error("]" + std::string(5'000'000, '(')), HasSubstr("opcodes"));
}

}  // namespace
}  // namespace rerank::model
