// The CUDA engine's logic, where there is no GPU: its sources over emulation/, judged by recorded logits and by the
// reference, in both orders that the emulation has. What this proves and what it cannot: docs/decisions/0003.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/reference/reference_backend.h"
#include "support.h"
#include "support/attention_parts.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;
using testing::TinyModelSpec;

struct Case {
  Precision precision;
  emulation::Order order;
};

class EmulatedCudaTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam().order;
    // Attention by wgmma in one order, by mma.sync in the other.
    if (GetParam().order == emulation::Order::kEarly) emulation::settings().compute_capability = 89;
  }
  Precision precision() const { return GetParam().precision; }
  double tolerance() const { return testing::tolerance(EngineKind::kCuda, precision()).generated; }
};

INSTANTIATE_TEST_SUITE_P(
    Precisions, EmulatedCudaTest,
    ::testing::Values(Case{Precision::kFp32, emulation::Order::kLate}, Case{Precision::kFp16, emulation::Order::kLate},
                      Case{Precision::kBf16, emulation::Order::kLate}, Case{Precision::kFp32, emulation::Order::kEarly},
                      Case{Precision::kFp16, emulation::Order::kEarly},
                      Case{Precision::kBf16, emulation::Order::kEarly}, Case{Precision::kFp8, emulation::Order::kLate},
                      Case{Precision::kFp8, emulation::Order::kEarly}),
    [](const auto& info) {
      return std::string(word_of(info.param.precision)) +
             (info.param.order == emulation::Order::kLate ? "_late" : "_early");
    });

// Of the recorded pairs, for time; longer ones are held against the reference below.
constexpr size_t kLongest = 130;

TEST_P(EmulatedCudaTest, EqualsRecordedLogitsOfEveryFamily) {
  for (const std::string& folder : testing::golden_models()) {
    const auto model = load(folder);
    const bool experts = has_experts(model->architecture());
    // Where rounding turns a choice of experts around, a logit takes a step.
    const double allowed = tolerance() * (experts && precision() != Precision::kFp32 ? 4 : 1);
    if (model->config.architecture.blocks[0].attention.head_size % 8 != 0) {
      const Status refused = engine::make_cuda_backend(model, {.precision = precision()}).status();
      EXPECT_THAT(std::string(refused.message()), HasSubstr("multiples of 8"));
      continue;
    }
    const auto backend = open(model, {.precision = precision()});
    ASSERT_NE(backend, nullptr);
    auto pairs = testing::read_golden_pairs(folder);
    std::erase_if(pairs, [](const auto& pair) { return pair.ids.size() > kLongest; });
    ASSERT_GE(pairs.size(), 8u);
    engine::OwnedBatch batch;
    for (const auto& pair : pairs) batch.add(pair.ids, pair.segments);
    const auto logits = run(*backend, batch.view());
    for (size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_NEAR(logits[i], pairs[i].logit, allowed) << folder << " " << i;
      for (size_t j = 0; j < i; ++j) {
        const double apart = pairs[i].logit - pairs[j].logit;
        if (std::abs(apart) <= allowed) continue;
        EXPECT_EQ(logits[i] > logits[j], apart > 0) << folder << " order of " << i << " and " << j;
      }
    }
  }
}

// Head sizes with and without a tensor-core kernel, at the edges of tiles, and alone as in the middle of a batch.
TEST_P(EmulatedCudaTest, EqualsTheReferenceAtEdgeLengthsAndHeadSizes) {
  const std::vector<TinyModelSpec> specs = {
      {.hidden = 64, .heads = 2, .positions = 512},
      {.hidden = 128, .heads = 2, .intermediate = 128, .positions = 512, .labels = 2, .activation = "gelu_new"},
      {.hidden = 96, .heads = 1, .positions = 512, .activation = "silu"},
      {.hidden = 128, .heads = 1, .positions = 512, .activation = "relu", .dtype = model::DType::kF16},
      {.hidden = 48, .heads = 6, .positions = 512, .dtype = model::DType::kBF16},
      {.hidden = 96, .heads = 2, .positions = 512},
      {.layers = 1, .hidden = 256, .heads = 1, .intermediate = 32, .positions = 512},
      {.architecture = "ElectraForSequenceClassification",
       .hidden = 160,
       .heads = 1,
       .positions = 512,
       .embedding = 32},
  };
  for (size_t m = 0; m < specs.size(); ++m) {
    const auto model = load(testing::write_tiny_model(specs[m], "cuda_emulation_" + std::to_string(m)));
    const auto backend = open(model, {.precision = precision()});
    ASSERT_NE(backend, nullptr);
    const auto batch = random_batch(model->config, {1, 15, 16, 17, 63, 64, 65, 512, 200, 3});
    const auto expected = run(*engine::make_reference_backend(model), batch.view());
    const auto logits = run(*backend, batch.view());
    for (size_t i = 0; i < logits.size(); ++i) {
      EXPECT_NEAR(logits[i], expected[i], tolerance()) << "model " << m << " length " << batch.view().length(i);
    }
    const auto alone = random_batch(model->config, {1, 15});  // a small batch after a large one
    const auto again = run(*backend, alone.view());
    for (size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i], logits[i]) << "model " << m << " alone, " << i;
  }
}

// Windows, slopes and rotations, with tensor cores and without, full rows and first rows.
TEST_P(EmulatedCudaTest, EqualsTheReferenceUnderAttentionPatterns) {
  const testing::AttentionParts window{.window = 7}, slope{.alibi = true}, turn{.rope_theta = 10000};
  const std::vector<std::vector<testing::AttentionParts>> patterns = {
      {window, window, window},
      {slope, slope, slope},
      {turn, turn, turn},
      {{.rope_theta = 160000}, {.window = 64, .rope_theta = 10000}, {.window = 3, .alibi = true}}};
  for (const TinyModelSpec& spec : {TinyModelSpec{.layers = 3, .hidden = 96, .heads = 3, .positions = 200},
                                    TinyModelSpec{.layers = 3, .hidden = 48, .heads = 6, .positions = 200},
                                    TinyModelSpec{.layers = 3, .hidden = 48, .heads = 1, .positions = 200},
                                    TinyModelSpec{.layers = 3, .hidden = 256, .heads = 1, .positions = 200}}) {
    auto model = std::make_shared<model::Model>(*load(testing::write_tiny_model(spec, "cuda_patterns")));
    const auto batch = random_batch(model->config, {1, 5, 33, 150, 197, 40, 12});
    testing::set_attention(model->config.architecture, {});
    const auto plain = run(*engine::make_reference_backend(model), batch.view());
    for (size_t p = 0; p < patterns.size(); ++p) {
      testing::set_attention(model->config.architecture, patterns[p]);
      const auto expected = run(*engine::make_reference_backend(model), batch.view());
      double moved = 0;
      for (size_t i = 0; i < expected.size(); ++i) moved = std::max(moved, std::abs(double{expected[i]} - plain[i]));
      EXPECT_GT(moved, 1e-2) << "pattern " << p << " changes nothing";
      const auto backend = open(model, {.precision = precision()});
      ASSERT_NE(backend, nullptr);
      const auto logits = run(*backend, batch.view());
      // Of some hundred logits in fp8 the worst is 0.33 away, the second 0.21.
      const double allowed = precision() == Precision::kFp8 ? 1.5 * tolerance() : tolerance();
      for (size_t i = 0; i < logits.size(); ++i)
        EXPECT_NEAR(logits[i], expected[i], allowed) << "pattern " << p << " heads " << spec.heads << " sequence " << i;
    }
  }
}

// Heads that wgmma multiplies, with and without a pattern, in the order in which copies and warps come early.
TEST(EmulatedWgmmaTest, GivesWhatMmaGives) {
  for (const TinyModelSpec& spec :
       {TinyModelSpec{.layers = 2, .hidden = 128, .heads = 2, .intermediate = 128, .positions = 200},
        TinyModelSpec{.layers = 2, .hidden = 128, .heads = 1, .intermediate = 128, .positions = 200}}) {
    auto model = std::make_shared<model::Model>(*load(testing::write_tiny_model(spec, "cuda_wgmma")));
    // In blocks of 64 queries, and, without a pattern, of 128: whole ones, with a half, and with a few of the second
    // half.
    for (int c = 0; c < 8; ++c) {
      const auto batch =
          c % 2 == 0 ? random_batch(model->config, {1, 64, 65, 150}) : random_batch(model->config, {190, 128, 64, 130});
      const testing::AttentionParts parts[] = {{}, {.window = 7}, {.alibi = true}, {}};
      testing::set_attention(model->config.architecture, {parts[c / 2], parts[c / 2]});
      if (c / 2 == 3)
        for (auto& block : model->config.architecture.blocks) block.attention.mask = model::MaskKind::kCausal;
      for (const Precision precision : {Precision::kFp16, Precision::kBf16}) {
        if (precision == Precision::kFp16 && c > 1) continue;  // for time
        emulation::settings() = {};
        emulation::settings().order = emulation::Order::kEarly;
        const auto group = open(model, {.precision = precision});
        const auto warp = open(model, {.precision = precision, .cuda_wgmma = false});
        ASSERT_TRUE(group != nullptr && warp != nullptr);
        EXPECT_EQ(group->info().kernel, "sm_90, wgmma");
        EXPECT_EQ(warp->info().kernel, "sm_90, mma.sync: turned off");
        const auto expected = run(*warp, batch.view()), logits = run(*group, batch.view());
        for (size_t i = 0; i < logits.size(); ++i)
          EXPECT_NEAR(logits[i], expected[i], 2e-3) << word_of(precision) << " " << i;
      }
    }
  }
}

TEST(EmulatedWgmmaTest, IsNotTakenWhereItGivesOtherNumbersOrIsNotThere) {
  const auto model = load(testing::write_tiny_model({.hidden = 64, .heads = 1}, "cuda_wgmma_refused"));
  const auto kernel = [&](Precision precision) { return open(model, {.precision = precision})->info().kernel; };
  emulation::settings() = {};
  EXPECT_EQ(kernel(Precision::kFp32), "sm_90, mma.sync: wgmma is for numbers of 16 bits");
  emulation::settings().compute_capability = 100;
  EXPECT_EQ(kernel(Precision::kBf16), "sm_100, mma.sync: wgmma is Hopper's");
  emulation::settings() = {};
  emulation::settings().wrong_wgmma = true;
  EXPECT_EQ(kernel(Precision::kBf16), "sm_90, mma.sync: wgmma gave other numbers here");
  emulation::settings() = {};
  const auto small = load(testing::write_tiny_model({.hidden = 64, .heads = 2}, "cuda_wgmma_small"));
  EXPECT_EQ(open(small, {.precision = Precision::kBf16})->info().kernel,
            "sm_90, mma.sync: wgmma is for heads of 64 and 128");
}

}  // namespace
}  // namespace rerank
