// A tensor whose shape is not the one that config.json gives is refused by its name, whichever it is: experts,
// projections of a global first token, convolutions, packed rows. Of every recorded model, every tensor in turn.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "model/weights.h"
#include "support/golden.h"

namespace rerank::model {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::string_view kShape = "\"shape\":[";

// A copy of a model.safetensors whose header has room to grow.
class Changeable {
 public:
  Changeable(const std::string& from, const std::string& to) : to_(to) {
    const std::string all = *read_file(from, 16u << 20);
    uint64_t length = 0;
    std::memcpy(&length, all.data(), sizeof length);
    header_ = all.substr(8, length);
    room_ = length + 64;
    std::ofstream out(to, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&room_), sizeof room_);
    out << std::string(room_, ' ') << all.substr(8 + length);
  }

  // The same values in another shape: [a, b] as [1, a b]; others with a dimension of 1 more, or less. False: the tensor
  // is in another file (of modules).
  bool reshape(const std::string& name) const {
    const size_t entry = header_.find(str_cat("\"", name, "\":{"));
    if (entry == std::string::npos) return false;
    const size_t begin = header_.find(kShape, entry) + kShape.size(), end = header_.find(']', begin);
    const std::string shape = header_.substr(begin, end - begin);
    const size_t comma = shape.find(',');
    std::string other = str_cat("1,", shape);
    if (shape.starts_with("1,")) other = shape.substr(2);
    if (comma != std::string::npos && !shape.starts_with("1,") && shape.find(',', comma + 1) == std::string::npos)
      other = str_cat("1,", std::stoul(shape) * std::stoul(shape.substr(comma + 1)));
    write(std::string(header_).replace(begin, end - begin, other));
    return true;
  }

 private:
  void write(std::string header) const {
    header.resize(room_, ' ');
    std::fstream out(to_, std::ios::binary | std::ios::in | std::ios::out);
    out.seekp(8);
    out << header;
  }

  std::string to_, header_;
  uint64_t room_ = 0;
};

void expect_each_refused(const std::string& folder, size_t& changed) {
  const std::string own = str_cat(::testing::TempDir(), "/wrong_shapes_test_", ::getpid()),
                    file = own + "/model.safetensors";
  auto model = load_model(folder);
  ASSERT_TRUE(model.ok()) << model.status();
  if (!fs::exists(folder + "/model.safetensors")) return;
  fs::remove_all(own);
  fs::copy(folder, own, fs::copy_options::recursive);
  const Changeable tensors(folder + "/model.safetensors", file);
  for (const UsedTensor& used : (*model)->weights.used) {
    if (!tensors.reshape(used.view.name)) continue;
    const auto found = load_model(own);
    ASSERT_FALSE(found.ok()) << folder << ": " << used.view.name;
    EXPECT_THAT(std::string(message_of(found.status())), HasSubstr(used.view.name)) << folder;
    ++changed;
  }
  fs::remove_all(own);
}

TEST(WrongShapesTest, EachTensorOfEachEncoderIsNamed) {
  size_t changed = 0;
  for (const std::string& folder : testing::golden_models()) expect_each_refused(folder, changed);
  EXPECT_GT(changed, 1000u);
}

TEST(WrongShapesTest, EachTensorOfEachDecoderIsNamed) {
  size_t changed = 0;
  for (const std::string& folder : testing::decoder_models()) expect_each_refused(folder, changed);
  EXPECT_GT(changed, 200u);
}

}  // namespace
}  // namespace rerank::model
