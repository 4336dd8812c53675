// Contests that a layerwise model's own outputs decide: who leaves, what logits they have, and that prefixes are
// shared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/depth/contests.h"
#include "engine/depth/outputs.h"
#include "engine/depth/seen_outputs.h"
#include "engine/reference/reference_backend.h"

namespace rerank::engine {
namespace {

using ::testing::ElementsAre;

// Four layers; outputs after the second to the fourth.
std::shared_ptr<const model::Model> minicpm() {
  auto model = model::load_model(RERANKD_SOURCE_DIR "/tests/data/decoders/minicpm-a");
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

// Documents behind one beginning, and some of another.
OwnedBatch request(const model::Architecture& a, uint32_t seed, size_t documents) {
  std::mt19937 random(seed);
  const auto some = [&](size_t count) {
    std::vector<int32_t> ids(count);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % a.embedding.vocabulary);
    return ids;
  };
  OwnedBatch batch;
  const auto begin = some(70), other = some(9);
  for (size_t i = 0; i < documents; ++i) {
    auto ids = i % 7 == 6 ? other : begin;
    const auto own = some(1 + random() % 50);
    ids.insert(ids.end(), own.begin(), own.end());
    batch.add(ids);
  }
  return batch;
}

std::vector<float> logits_of(Backend& backend, OwnedBatch batch, uint8_t layers) {
  batch.layers.assign(batch.size(), layers);
  std::vector<float> logits(batch.size());
  EXPECT_TRUE(backend.forward(batch, logits).ok());
  return logits;
}

float place(std::vector<float> logits, size_t number) {
  std::sort(logits.begin(), logits.end(), std::greater<>());
  return logits[number - 1];
}

TEST(LayerwiseTest, TheBestOfEachOutputGoOnAndAllLogitsAreThoseOfTheirLayers) {
  const auto model = minicpm();
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    for (const size_t prefix_bytes : {size_t{1} << 20, size_t{0}}) {
      auto backend = make_cpu_backend(
          model, {.precision = tier->precision, .kernel = tier->tier, .threads = 2, .prefix_bytes = prefix_bytes});
      ASSERT_TRUE(backend.ok()) << backend.status();
      for (uint32_t seed = 0; seed < 4; ++seed) {
        const OwnedBatch batch = request(model->architecture(), seed, 24);
        const auto second = logits_of(**backend, batch, 2), third = logits_of(**backend, batch, 3),
                   all = logits_of(**backend, batch, 0);
        // Two are outside of contests; of 12 the best 3 are wanted, and 8 go on at first; the others are fewer than go
        // on.
        const std::vector<Contest> contests = {{.first = 1, .size = 12, .keep = 3, .stay = 8},
                                               {.first = 13, .size = 10, .keep = 2, .stay = 10}};
        std::vector<float> found(batch.size());
        std::vector<uint8_t> depths(batch.size(), 9);
        ASSERT_TRUE((*backend)->forward_contests(batch, contests, found, depths).ok());
        EXPECT_EQ(depths[0], 0);
        EXPECT_EQ(depths[23], 0);
        std::vector<float> alive;
        const float eighth = place({second.begin() + 1, second.begin() + 13}, 8);
        for (size_t s = 1; s < 13; ++s)
          if (second[s] >= eighth) alive.push_back(third[s]);
        const float sixth = place(alive, 6);  // half of the way from 8 to 3, rounded up
        for (size_t s = 1; s < 13; ++s) {
          const int depth = second[s] < eighth ? 2 : third[s] < sixth ? 3 : 0;
          EXPECT_EQ(depths[s], depth) << word_of(tier->tier) << " " << s;
        }
        EXPECT_EQ(std::count(depths.begin() + 13, depths.begin() + 23, 2), 0);
        EXPECT_EQ(std::count(depths.begin() + 13, depths.begin() + 23, 0), 6);
        for (size_t s = 0; s < batch.size(); ++s)
          EXPECT_EQ(found[s], depths[s] == 2   ? second[s]
                              : depths[s] == 3 ? third[s]
                                               : all[s])
              << word_of(tier->tier) << " " << s;
      }
      if (prefix_bytes == 0) continue;
      EXPECT_GT((*backend)->prefix_counters()->shared_tokens + (*backend)->prefix_counters()->kept_tokens,
                4 * 70 * 10u);
    }
  }
}

// Of a request in several batches: each competes with those of the batches before, and the best of all go on.
TEST(LayerwiseTest, BatchesOfOneRequestCompete) {
  const auto model = minicpm();
  const auto backend = *make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 2});
  const OwnedBatch whole = request(model->architecture(), 7, 24);
  const auto second = logits_of(*backend, whole, 2), all = logits_of(*backend, whole, 0);
  const auto seen = std::make_shared<SeenOutputs>();
  size_t left = 0;
  for (uint32_t begin = 0; begin < 24; begin += 3) {
    std::vector<uint32_t> some = {begin, begin + 1, begin + 2};
    OwnedBatch batch;
    batch.assign(whole, some);
    std::vector<float> found(3);
    std::vector<uint8_t> depths(3);
    const std::vector<Contest> contests = {{.size = 3, .keep = 4, .stay = 6, .seen = seen}};
    ASSERT_TRUE(backend->forward_contests(batch, contests, found, depths).ok());
    const float sixth = begin < 3 ? -INFINITY : place({second.begin(), second.begin() + begin + 3}, 6);
    for (uint32_t i = 0; i < 3; ++i) {
      EXPECT_EQ(depths[i] == 2, second[begin + i] < sixth) << begin + i;
      EXPECT_TRUE(depths[i] != 0 || found[i] == all[begin + i]);
      left += depths[i] != 0;
    }
  }
  EXPECT_GT(left, 8u);
}

// Shared or not, stored from earlier requests or not: the same logits, and the same who leave.
TEST(LayerwiseTest, SharedPrefixesChangeNoContest) {
  const auto model = minicpm();
  const auto open = [&](size_t prefix_bytes) {
    return *make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 2, .prefix_bytes = prefix_bytes});
  };
  const auto shared = open(size_t{1} << 20), plain = open(0);
  for (uint32_t round = 0; round < 60; ++round) {
    const OwnedBatch batch = request(model->architecture(), round % 20, 5 + round % 30);
    const auto size = static_cast<uint32_t>(batch.size());
    const std::vector<Contest> contests = {{.size = size, .keep = 1 + round % 3, .stay = 3 + round % 5}};
    std::vector<float> found(size), expected(size);
    std::vector<uint8_t> depths(size), expected_depths(size);
    ASSERT_TRUE(shared->forward_contests(batch, contests, found, depths).ok());
    ASSERT_TRUE(plain->forward_contests(batch, contests, expected, expected_depths).ok());
    EXPECT_EQ(found, expected) << round;
    EXPECT_EQ(depths, expected_depths) << round;
  }
}

TEST(LayerwiseTest, StoppedContestsEndAndLeaveNothingBehind) {
  const auto model = minicpm();
  const auto backend = *make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 2});
  const OwnedBatch batch = request(model->architecture(), 1, 20);
  const std::vector<Contest> contests = {{.size = 20, .keep = 2, .stay = 6}};
  std::vector<float> before(20), found(20);
  std::vector<uint8_t> depths(20);
  ASSERT_TRUE(backend->forward_contests(batch, contests, before, depths).ok());
  const std::atomic<bool> stop = true;
  EXPECT_TRUE(absl::IsCancelled(backend->forward_contests(batch.view(&stop), contests, found, depths)));
  ASSERT_TRUE(backend->forward_contests(batch, contests, found, depths).ok());
  EXPECT_EQ(found, before);
}

TEST(LayerwiseTest, EqualLogitsStayTogetherAndWhatIsNoNumberStays) {
  model::Architecture a;
  a.blocks.resize(6);
  a.scoring.first_output = 2;
  const std::vector<Contest> contests = {{.size = 6, .keep = 1, .floor = 100, .stay = 3}};
  ContestRun run(contests, nullptr, a);
  std::vector<float> logits(6);
  std::vector<uint8_t> depths(6);
  const float none = std::numeric_limits<float>::quiet_NaN();
  run.drop(1, std::vector<float>{1, 5, 3, none, 3, 4}, logits, depths);  // the third best is 3
  EXPECT_THAT(run.alive(), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(depths[0], 2);
  run.drop(2, std::vector<float>{1, 2, none, 3, 4}, logits, depths);  // 1 + 2 * 3 / 4, rounded up
  EXPECT_THAT(run.alive(), ElementsAre(2, 3, 4, 5));
  run.drop(4, std::vector<float>{1, none, 2, 3}, logits, depths);  // 1 + 2 * 1 / 4, rounded up
  EXPECT_THAT(run.alive(), ElementsAre(3, 4, 5));
  EXPECT_THAT(depths, ElementsAre(2, 3, 5, 0, 0, 0));
  EXPECT_TRUE(run.open());
}

// A model with one output: such contests drop nobody.
TEST(LayerwiseTest, WithoutOutputsNobodyLeaves) {
  const auto model = *model::load_model(RERANKD_SOURCE_DIR "/tests/data/decoders/qwen3-a");
  const auto backend = *make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 1});
  const OwnedBatch batch = request(model->architecture(), 1, 8);
  std::vector<float> found(8);
  std::vector<uint8_t> depths(8, 9);
  const std::vector<Contest> contests = {{.size = 8, .keep = 1, .stay = 2}};
  ASSERT_TRUE(backend->forward_contests(batch, contests, found, depths).ok());
  EXPECT_EQ(found, logits_of(*backend, batch, 0));
  EXPECT_THAT(depths, ::testing::Each(0));
}

// For engines that read outputs on the host.
TEST(LayerwiseTest, OutputsOnTheHostAreTheEngines) {
  const auto model = minicpm();
  const auto backend = make_reference_backend(model);
  const OwnedBatch batch = request(model->architecture(), 2, 9);
  const size_t width = model::exit_width(model->architecture());
  std::vector<float> logits(9), states(9 * 3 * width);
  ASSERT_TRUE(backend->forward_with_states(batch, logits, states).ok());
  for (uint8_t layers : {2, 3}) {
    std::vector<float> pooled, found(9);
    for (size_t s = 0; s < 9; ++s) {
      const auto from = states.begin() + static_cast<ptrdiff_t>((s * 3 + layers - 1) * width);
      pooled.insert(pooled.end(), from, from + static_cast<ptrdiff_t>(width));
    }
    outputs_of_pooled(*model, layers, pooled, found);
    const auto expected = logits_of(*backend, batch, layers);
    for (size_t s = 0; s < 9; ++s) EXPECT_NEAR(found[s], expected[s], 1e-5) << s;
  }
}

}  // namespace
}  // namespace rerank::engine
