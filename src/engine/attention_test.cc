// Attention by itself: windows, slopes and rotations on every tier against the reference engine, and scores that fp32
// cannot take the exponential of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/attention_pattern.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/reference/reference_backend.h"
#include "support/attention_parts.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"
#include "support/tolerances.h"

namespace rerank::engine {
namespace {

std::vector<const cpu::KernelTable*> tiers() {
  std::vector<const cpu::KernelTable*> tables;
  for (const auto* table : cpu::compiled_kernels()) {
    if (cpu::unsupported_reason(*table).empty()) tables.push_back(table);
  }
  return tables;
}

std::vector<float> run(Backend& backend, const Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

// Positions of every kind in sequences that end on every side of a tile, and beyond the reach of the tables.
TEST(RelativeAttentionTest, EqualsReferenceOnEveryTier) {
  for (const char* name : {"deberta-a", "deberta-b", "deberta-c", "mpnet-a"}) {
    const auto loaded = model::load_model(std::string(RERANKD_SOURCE_DIR "/tests/data/models/") + name);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const OwnedBatch batch =
        testing::random_batch({1, 2, 5, 15, 16, 17, 31, 32, 33, 64, 95, 96, 97, 127, 130, 150, 160},
                              (*loaded)->config.architecture.embedding.vocabulary, 1, 7);
    const auto expected = run(*make_reference_backend(*loaded), batch);
    for (const auto* tier : tiers()) {
      for (const size_t threads : {1, 3}) {
        auto backend =
            make_cpu_backend(*loaded, {.precision = tier->precision, .kernel = tier->tier, .threads = threads});
        ASSERT_TRUE(backend.ok()) << backend.status();
        const auto found = run(**backend, batch);
        const double tolerance = 4 * testing::generated_tolerance_of_tier(tier->tier, tier->precision);
        for (size_t i = 0; i < found.size(); ++i)
          EXPECT_NEAR(found[i], expected[i], tolerance) << name << " " << word_of(tier->tier) << " sequence " << i;
      }
    }
  }
}

// Scores that fp32 cannot take the exponential of: rows are computed again with their largest score taken off, and
// their positions with them.
TEST(RelativeAttentionTest, HugeScoresKeepTheirPositions) {
  const auto loaded = model::load_model(RERANKD_SOURCE_DIR "/tests/data/models/deberta-a");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  auto model = std::make_shared<model::Model>(**loaded);
  for (model::Block& block : model->config.architecture.blocks) block.attention.score_scale *= 200;
  const OwnedBatch batch =
      testing::random_batch({3, 40, 90, 150}, model->config.architecture.embedding.vocabulary, 1, 5);
  const auto expected = run(*make_reference_backend(model), batch);
  for (const auto* tier : tiers()) {
    auto backend = make_cpu_backend(model, {.precision = tier->precision, .kernel = tier->tier, .threads = 1});
    ASSERT_TRUE(backend.ok()) << backend.status();
    const auto found = run(**backend, batch);
    const bool exact = tier->precision == Precision::kFp32;  // rounded scores decide otherwise between keys
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_TRUE(std::isfinite(found[i])) << word_of(tier->tier) << " " << i;
      if (exact) {
        EXPECT_NEAR(found[i], expected[i], 2e-3) << word_of(tier->tier) << " " << i;
      }
    }
  }
}

struct PatternCase {
  const char* name;
  std::vector<testing::AttentionParts> layers;  // three
};

class AttentionPatternTest : public ::testing::TestWithParam<PatternCase> {};

TEST_P(AttentionPatternTest, EqualsReferenceOnEveryTier) {
  struct Shape {
    size_t hidden, heads;
  };
  for (const Shape shape : {Shape{96, 3}, Shape{40, 2}, Shape{128, 2}}) {
    auto loaded = model::load_model(testing::write_tiny_model(
        {.layers = 3, .hidden = shape.hidden, .heads = shape.heads, .positions = 200}, "attention_test"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    auto model = std::make_shared<model::Model>(**loaded);
    const OwnedBatch batch =
        testing::random_batch({1, 5, 33, 150, 197, 40, 12}, model->config.architecture.embedding.vocabulary, 1, 11);
    const auto plain = run(*make_reference_backend(model), batch);
    testing::set_attention(model->config.architecture, GetParam().layers);
    const auto expected = run(*make_reference_backend(model), batch);
    double moved = 0;
    for (size_t i = 0; i < expected.size(); ++i) moved = std::max(moved, std::abs(double{expected[i]} - plain[i]));
    EXPECT_GT(moved, 1e-2) << "the pattern changes nothing";
    for (const auto* tier : tiers()) {
      const double tolerance = testing::generated_tolerance_of_tier(tier->tier, tier->precision);
      auto backend = make_cpu_backend(model, {tier->precision, tier->tier, 2});
      ASSERT_TRUE(backend.ok()) << backend.status();
      const auto logits = run(**backend, batch);
      for (size_t i = 0; i < logits.size(); ++i) {
        EXPECT_NEAR(logits[i], expected[i], tolerance)
            << word_of(tier->tier) << " " << word_of(tier->precision) << " sequence " << i;
      }
    }
  }
}

const testing::AttentionParts kWindow = {.window = 7}, kWide = {.window = 64}, kSlope = {.alibi = true},
                              kTurn = {.rope_theta = 10000};

INSTANTIATE_TEST_SUITE_P(
    Patterns, AttentionPatternTest,
    ::testing::Values(PatternCase{"window", {kWindow, kWindow, kWindow}},
                      PatternCase{"alibi", {kSlope, kSlope, kSlope}}, PatternCase{"rope", {kTurn, kTurn, kTurn}},
                      PatternCase{
                          "global_and_local",
                          {{.rope_theta = 160000}, {.window = 64, .rope_theta = 10000}, {.window = 3, .alibi = true}}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(AttentionPatternTest, SlopesAreThoseOfThePaper) {
  EXPECT_FLOAT_EQ(alibi_slope(8, 0), 0.5f);
  EXPECT_FLOAT_EQ(alibi_slope(8, 7), 1.0f / 256);
  // 12 heads: the 8 of 8 heads, then the first, third, ... of 16.
  EXPECT_FLOAT_EQ(alibi_slope(12, 7), 1.0f / 256);
  EXPECT_FLOAT_EQ(alibi_slope(12, 8), std::exp2(-0.5f));
  EXPECT_FLOAT_EQ(alibi_slope(12, 11), std::exp2(-3.5f));
}

// The values of `rows`, which bf16 holds exactly, and attention over them by exp2 in double precision.
struct LargeScores {
  static constexpr size_t kLength = 150, kHead = 32, kStride = 3 * kHead;
  cpu::Buffer<float> rows{kLength * kStride + 64};
  size_t window;

  LargeScores(float lift, size_t seen) : window(seen) {
    std::mt19937 random(6);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < kLength * kStride; ++i) {
      const size_t column = i % kStride;
      const float x = normal(random) * 4 + (column < kHead ? lift : column < 2 * kHead ? -lift : 0);
      rows.data()[i] = cpu::from_bf16(cpu::to_bf16(x));
    }
  }
  const float* queries() const { return rows.data(); }
  const float* keys() const { return rows.data() + kHead; }
  const float* values() const { return rows.data() + 2 * kHead; }

  std::vector<double> context_of(size_t row) const {
    std::vector<double> scores(kLength, 0.0), context(kHead, 0.0);
    for (size_t key = 0; key < kLength; ++key) {
      for (size_t c = 0; c < kHead; ++c)
        scores[key] += double{queries()[row * kStride + c]} * keys()[key * kStride + c];
      if (window != 0 && (row > key ? row - key : key - row) > window) scores[key] = -INFINITY;
    }
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (size_t key = 0; key < kLength; ++key) {
      const double weight = std::exp2(scores[key] - largest);
      sum += weight;
      for (size_t c = 0; c < kHead; ++c) context[c] += weight * values()[key * kStride + c];
    }
    for (double& x : context) x /= sum;
    return context;
  }
};

// Scores of up to some +-300 as powers of 2, and (lifted) all of them far below zero.
TEST(VectorAttentionTest, LargeScoresNeitherOverflowNorVanish) {
  using Case = LargeScores;
  for (const Case& c : {Case(0, 0), Case(0, 40), Case(-4, 0), Case(-4, 40)}) {
    for (const auto* tier : tiers()) {
      if (tier->tiles != nullptr) continue;
      cpu::Buffer<float> context(Case::kLength * Case::kHead + 64);
      cpu::Buffer<std::byte> scratch(tier->attention_scratch(Case::kLength, Case::kHead));
      cpu::AttentionArgs args;
      const cpu::KeyRows keys = {c.keys(), c.values(), Case::kStride, Case::kLength};
      args.queries = c.queries();
      args.pieces = {&keys, 1};
      args.query_stride = Case::kStride;
      args.query_rows = args.length = Case::kLength;
      args.head_size = Case::kHead;
      args.scale = 0.693147182f;  // the natural logarithm of 2: queries are not rounded again
      if (c.window != 0) args.before = args.after = c.window;
      args.context = context.data();
      args.context_stride = Case::kHead;
      args.scratch = scratch.data();
      tier->attention(args);
      const auto [needs, use] = cpu::traits_of(tier->tier);
      const bool bf16 = (needs & cpu::kAvx512Bf16) != 0 || use == cpu::TierUse::kTests;
      for (size_t row = 0; row < Case::kLength; ++row) {
        const auto expected = c.context_of(row);
        for (size_t column = 0; column < Case::kHead; ++column) {
          ASSERT_NEAR(context.data()[row * Case::kHead + column], expected[column], bf16 ? 0.1 : 0.02)
              << word_of(tier->tier) << " " << word_of(tier->precision) << " window " << c.window << " row " << row
              << " column " << column;
        }
      }
    }
  }
}

}  // namespace
}  // namespace rerank::engine
