// Fewer layers, exit heads, and what exits read: every tier against the reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <random>

#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/depth/pooling.h"
#include "engine/encoder.h"
#include "engine/reference/reference_backend.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"
#include "support/tolerances.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;

// Exit heads here add up 144 states with weights of up to 1: their logits are further apart than a model's.
double tolerance_of(const cpu::KernelTable& tier) {
  return 3 * testing::generated_tolerance_of_tier(tier.tier, tier.precision);
}

struct DepthTest : public ::testing::Test {
  void SetUp() override {
    const testing::TinyModelSpec spec{
        .architecture = "BertForSequenceClassification", .layers = 3, .hidden = 48, .heads = 3};
    auto loaded = model::load_model(testing::write_tiny_model(spec, "depth_test"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model = *loaded;
    std::mt19937 random(2);
    for (size_t length : {5, 40, 17, 1, 60, 33, 8})
      testing::add_random(batch, length, model->config.architecture.embedding.vocabulary, 1, random);
    made.model = "tiny";
    made.weights_digest = model::weights_digest(*model);
    for (int layer = 0; layer < 2; ++layer) {
      model::ExitHead head;
      head.bias = 0.5f + static_cast<float>(layer);
      for (int i = 0; i < 3 * 48; ++i) head.weights.push_back(static_cast<float>(random() % 200) / 100 - 1);
      made.heads.push_back(head);
    }
  }

  OwnedBatch with_layers(const std::vector<uint8_t>& layers) const {
    OwnedBatch asked = batch;
    asked.layers = layers;
    return asked;
  }
  std::vector<float> logits(Backend& backend, const std::vector<uint8_t>& layers) const {
    std::vector<float> result(batch.size());
    const Status status = backend.forward(with_layers(layers), result);
    EXPECT_TRUE(status.ok()) << status;
    return result;
  }
  std::unique_ptr<Backend> open(const cpu::KernelTable& tier, bool with_exits) const {
    BackendOptions options{.kernel = tier.tier, .threads = 2};
    if (with_exits) options.exits = std::make_shared<const model::Exits>(made);
    auto backend = make_cpu_backend(model, options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    return std::move(*backend);
  }

  std::shared_ptr<const model::Model> model;
  OwnedBatch batch;
  model::Exits made;
};

TEST_F(DepthTest, EachSequenceIsComputedToItsOwnDepth) {
  const std::vector<uint8_t> mixed = {1, 0, 2, 3, 1, 2, 1};
  for (bool with_exits : {false, true}) {
    auto reference = make_reference_backend(model, with_exits ? std::make_shared<const model::Exits>(made) : nullptr);
    const auto expected = logits(*reference, mixed), full = logits(*reference, {});
    EXPECT_NE(expected[0], full[0]);
    EXPECT_EQ(expected[1], full[1]);
    EXPECT_EQ(expected[3], full[3]);  // 3 are all there are
    for (const auto* tier : cpu::compiled_kernels()) {
      if (!cpu::unsupported_reason(*tier).empty()) continue;
      auto backend = open(*tier, with_exits);
      const double tolerance = tolerance_of(*tier);
      const auto found = logits(*backend, mixed), all = logits(*backend, {});
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_NEAR(found[i], expected[i], tolerance) << word_of(tier->tier) << " " << i;
      EXPECT_EQ(found[1], all[1]);
    }
  }
}

TEST_F(DepthTest, StatesAreWhatExitsRead) {
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    auto backend = open(*tier, true);
    const size_t size = batch.size(), width = 2 * 3 * 48;
    std::vector<float> with_states(size), states(size * width);
    const Status status = backend->forward_with_states(batch, with_states, states);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(with_states, logits(*backend, {})) << word_of(tier->tier);
    for (uint8_t depth : {1, 2}) {
      const auto exits = logits(*backend, std::vector<uint8_t>(size, depth));
      const double tolerance = tolerance_of(*tier);
      for (size_t i = 0; i < size; ++i) {
        EXPECT_NEAR(exits[i], made.heads[depth - 1].apply(&states[i * width + (depth - 1) * 3 * 48]), tolerance)
            << word_of(tier->tier);
      }
    }
  }
}

TEST_F(DepthTest, ExitsReadTheFirstTokenTheQueryAndTheDocument) {
  EXPECT_EQ(query_tokens(std::vector<int32_t>{1, 7, 8, 2, 9, 2}, std::vector<int32_t>{0, 0, 0, 0, 1, 1}), 4u);
  EXPECT_EQ(query_tokens(std::vector<int32_t>{0, 7, 2, 2, 9, 2}, std::vector<int32_t>(6)), 3u);  // RoBERTa's pairs
  EXPECT_EQ(query_tokens(std::vector<int32_t>{1, 7, 9}, std::vector<int32_t>{0, 0, 1}), 2u);     // no separators
  EXPECT_EQ(query_tokens(std::vector<int32_t>{1, 7, 2}, std::vector<int32_t>(3)), 3u);           // no document
  EXPECT_EQ(query_tokens(std::vector<int32_t>{2}, std::vector<int32_t>(1)), 1u);
  const std::vector<int32_t> two = {1, 5, 2, 6, 2, 9}, kinds = {0, 0, 0, 1, 1, 0};
  const std::vector<uint32_t> places = {0, 5, 6};
  const std::vector<float> rows = {1, 10, 2, 20, 4, 40, 6, 60, 8, 80, 5, 50};
  std::vector<float> pooled(2 * 3 * 2);
  pool_states({two, kinds, places}, 2, false, rows, pooled);
  EXPECT_THAT(pooled, ::testing::ElementsAre(1, 10, 3, 30, 7, 70, 5, 50, 0, 0, 0, 0));
  pool_states({two, kinds, places}, 2, true, rows, pooled);  // of a decoder
  EXPECT_THAT(pooled, ::testing::ElementsAre(8, 80, 3, 30, 7, 70, 5, 50, 0, 0, 0, 0));
}

// A layerwise model reads a layer with its own output where it has one, exits or not.
TEST(LayerwiseDepth, OwnOutputsComeBeforeExits) {
  model::Architecture a;
  a.blocks.resize(4);
  const model::Exits exits{.heads = std::vector<model::ExitHead>(3)};
  OwnedBatch batch;
  batch.add(std::vector<int32_t>{1, 2});
  for (size_t layers = 1; layers <= 4; ++layers) {
    batch.layers = {static_cast<uint8_t>(layers)};
    a.scoring.first_output = 0;
    EXPECT_EQ(depth_of(a, batch, 0, &exits).exit != nullptr, layers < 4);
    a.scoring.first_output = 3;
    EXPECT_EQ(depth_of(a, batch, 0, &exits).exit != nullptr, layers < 3);
  }
}

TEST_F(DepthTest, WhoLeavesAContestIsWhoTheExitsSaySo) {
  for (model::ExitHead& head : made.heads) head.error = 0.05f;
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    auto backend = open(*tier, true);
    const auto full = logits(*backend, {});
    const std::vector<uint8_t> ones(full.size(), 1), twos(full.size(), 2);
    const auto first = logits(*backend, ones), second = logits(*backend, twos);
    std::vector<float> found(full.size());
    std::vector<uint8_t> depths(full.size(), 9);
    // Sequence 0 is alone with a depth of its own; 1-4 compete for two places; 5 and 6 against what is known already.
    const std::vector<uint8_t> layers = {2, 0, 0, 0, 0, 0, 0};
    const std::vector<Contest> contests = {{1, 4, 2, 1.0f}, {5, 2, 2, 1.0f, 1e6f}};
    const Status status = backend->forward_contests(with_layers(layers), contests, found, depths);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(found[0], second[0]) << word_of(tier->tier);
    EXPECT_EQ(depths[0], 2);
    std::vector<float> guesses(first.begin() + 1, first.begin() + 5);
    std::sort(guesses.begin(), guesses.end(), std::greater<>());
    size_t stayed = 0;
    for (size_t s = 1; s < 5; ++s) {
      const bool leaves = first[s] < guesses[1] - std::sqrt(2.0) * 0.05;
      EXPECT_EQ(depths[s] == 1, leaves) << word_of(tier->tier) << " " << s;
      // Exact where it stayed to the end, bit for bit; its exit's guess where it left.
      EXPECT_EQ(found[s], depths[s] == 0   ? full[s]
                          : depths[s] == 1 ? first[s]
                                           : second[s])
          << word_of(tier->tier) << " " << s;
      stayed += depths[s] == 0;
    }
    EXPECT_GE(stayed, 2u);
    for (size_t s : {5, 6}) {
      EXPECT_EQ(depths[s], 1) << word_of(tier->tier);
      EXPECT_EQ(found[s], first[s]) << word_of(tier->tier);
    }
  }
}

TEST_F(DepthTest, WithoutExitsEverybodyIsComputedToTheEnd) {
  auto reference = make_reference_backend(model);
  const auto full = logits(*reference, {});
  std::vector<float> found(full.size());
  std::vector<uint8_t> depths(full.size(), 9);
  const std::vector<Contest> contests = {{0, 7, 1, 0.0f}};
  ASSERT_TRUE(reference->forward_contests(batch, contests, found, depths).ok());
  EXPECT_EQ(found, full);
  EXPECT_THAT(depths, ::testing::Each(0));
}

TEST_F(DepthTest, AMarginIsThatOfTheLeastTargetThatPromisesEnough) {
  made.targets = {{0.9, 1.0}, {0.99, 2.5}};
  EXPECT_EQ(*made.margin_for(0.95), 2.5);
  EXPECT_EQ(*made.margin_for(0.9), 1.0);
  EXPECT_THAT(std::string(made.margin_for(0.999).status().message()), ::testing::HasSubstr("0.9, 0.99"));
  made.targets.clear();
  EXPECT_EQ(made.margin_for(0.5).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DepthTest, DepthsThatTheModelHasNotAreRefused) {
  auto reference = make_reference_backend(model);
  std::vector<float> result(batch.size());
  const std::vector<uint8_t> four(result.size(), 4), few(2, 1);
  EXPECT_EQ(reference->forward(with_layers(four), result).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reference->forward(with_layers(few), result).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DepthTest, ExitsAreReadBackAsWrittenAndBelongToOneModel) {
  const std::string folder = (fs::path(::testing::TempDir()) / "depth_test_exits").string();
  made.model = R"(a "quoted" \ name)";
  made.targets = {{0.99, 1.5}};
  made.heads[1].error = 0.25f;
  ASSERT_TRUE(model::write_exits(folder, made).ok());
  auto read = model::read_exits(folder, *model);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->model, made.model);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->heads[i].weights, made.heads[i].weights);
    EXPECT_EQ(read->heads[i].bias, made.heads[i].bias);
    EXPECT_EQ(read->heads[i].error, made.heads[i].error);
  }
  ASSERT_EQ(read->targets.size(), 1u);
  EXPECT_EQ(read->targets[0].margin, 1.5);
  auto other = model::load_model(
      testing::write_tiny_model({.layers = 3, .hidden = 48, .heads = 3, .seed = 9}, "depth_test_other"));
  EXPECT_THAT(std::string((*other)->folder), ::testing::Not(::testing::IsEmpty()));
  EXPECT_EQ(model::read_exits(folder, **other).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model::read_exits(folder + "/none", *model).status().code(), absl::StatusCode::kNotFound);
  made.heads.pop_back();
  ASSERT_TRUE(model::write_exits(folder, made).ok());
  EXPECT_EQ(model::read_exits(folder, *model).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rerank::engine
