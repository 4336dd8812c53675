// Fewer layers, exit heads, and what exits read: every tier against the reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/kernels.h"
#include "engine/reference/reference_backend.h"
#include "support/tiny_model.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;

struct DepthTest : public ::testing::Test {
  void SetUp() override {
    const testing::TinyModelSpec spec{
        .architecture = "BertForSequenceClassification", .layers = 3, .hidden = 48, .heads = 3};
    auto loaded = load_model(testing::write_tiny_model(spec, "depth_test"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model = *loaded;
    std::mt19937 random(2);
    for (size_t length : {5, 40, 17, 1, 60, 33, 8}) {
      for (size_t i = 0; i < length; ++i) ids.push_back(static_cast<int32_t>(random() % model->config.vocabulary));
      offsets.push_back(static_cast<uint32_t>(ids.size()));
    }
    segments.resize(ids.size());
    made.model = "tiny";
    made.weights_digest = weights_digest(*model);
    for (int layer = 0; layer < 2; ++layer) {
      ExitHead head;
      head.bias = 0.5f + static_cast<float>(layer);
      for (int i = 0; i < 48; ++i) head.weights.push_back(static_cast<float>(random() % 200) / 100 - 1);
      made.heads.push_back(head);
    }
  }

  std::vector<float> logits(Backend& backend, const std::vector<uint8_t>& layers) const {
    std::vector<float> result(offsets.size() - 1);
    const Status status = backend.forward({ids, segments, offsets, layers}, result);
    EXPECT_TRUE(status.ok()) << status;
    return result;
  }
  std::unique_ptr<Backend> open(const cpu::KernelTable& tier, bool with_exits) const {
    BackendOptions options{"auto", tier.name, 2, nullptr};
    if (with_exits) options.exits = std::make_shared<const Exits>(made);
    auto backend = make_cpu_backend(model, options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return std::move(*backend);
  }

  std::shared_ptr<const Model> model;
  std::vector<int32_t> ids, segments;
  std::vector<uint32_t> offsets{0};
  Exits made;
};

TEST_F(DepthTest, EachSequenceIsComputedToItsOwnDepth) {
  const std::vector<uint8_t> mixed = {1, 0, 2, 3, 1, 2, 1};
  for (bool with_exits : {false, true}) {
    auto reference = make_reference_backend(model, with_exits ? std::make_shared<const Exits>(made) : nullptr);
    const auto expected = logits(*reference, mixed), full = logits(*reference, {});
    EXPECT_NE(expected[0], full[0]);
    EXPECT_EQ(expected[1], full[1]);
    EXPECT_EQ(expected[3], full[3]);  // 3 are all there are
    for (const auto* tier : cpu::compiled_kernels()) {
      if (!cpu::why_not(*tier).empty()) continue;
      auto backend = open(*tier, with_exits);
      const double tolerance = std::string_view(tier->precision) == "fp32" ? 1e-4 : 0.2;
      const auto found = logits(*backend, mixed), all = logits(*backend, {});
      for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << tier->name << " " << i;
      EXPECT_EQ(found[1], all[1]);
    }
  }
}

TEST_F(DepthTest, StatesAreWhatExitsRead) {
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::why_not(*tier).empty()) continue;
    auto backend = open(*tier, true);
    const size_t size = offsets.size() - 1, width = 2 * 48;
    std::vector<float> with_states(size), states(size * width);
    const Status status = backend->forward_with_states({ids, segments, offsets}, with_states, states);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(with_states, logits(*backend, {})) << tier->name;
    for (uint8_t depth : {1, 2}) {
      const auto exits = logits(*backend, std::vector<uint8_t>(size, depth));
      const double tolerance = std::string_view(tier->precision) == "fp32" ? 1e-4 : 0.2;
      for (size_t i = 0; i < size; ++i) {
        EXPECT_NEAR(exits[i], made.heads[depth - 1].apply(&states[i * width + (depth - 1) * 48]), tolerance)
            << tier->name;
      }
    }
  }
}

TEST_F(DepthTest, DepthsThatTheModelHasNotAreRefused) {
  auto reference = make_reference_backend(model);
  std::vector<float> result(offsets.size() - 1);
  const std::vector<uint8_t> four(result.size(), 4), few(2, 1);
  EXPECT_EQ(reference->forward({ids, segments, offsets, four}, result).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reference->forward({ids, segments, offsets, few}, result).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DepthTest, ExitsAreReadBackAsWrittenAndBelongToOneModel) {
  const std::string folder = (fs::path(::testing::TempDir()) / "depth_test_exits").string();
  ASSERT_TRUE(write_exits(folder, made).ok());
  auto read = read_exits(folder, *model);
  ASSERT_TRUE(read.ok()) << read.status();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->heads[i].weights, made.heads[i].weights);
    EXPECT_EQ(read->heads[i].bias, made.heads[i].bias);
  }
  auto other =
      load_model(testing::write_tiny_model({.layers = 3, .hidden = 48, .heads = 3, .seed = 9}, "depth_test_other"));
  EXPECT_THAT(std::string((*other)->folder), ::testing::Not(::testing::IsEmpty()));
  EXPECT_EQ(read_exits(folder, **other).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(read_exits(folder + "/none", *model).status().code(), absl::StatusCode::kNotFound);
  made.heads.pop_back();
  ASSERT_TRUE(write_exits(folder, made).ok());
  EXPECT_EQ(read_exits(folder, *model).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rerank
