// Decoders on the emulated engine: RMS norms, norms of queries and keys, grouped heads, causal masks, gates, caps,
// heads on the last token, outputs after layers, and prefixes that sequences share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/reference/reference_backend.h"
#include "support.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;

struct Case {
  Precision precision;
  emulation::Order order;
};

class CudaDecoderTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam().order;
  }
  void TearDown() override { emulation::settings() = {}; }

  Precision precision() const { return GetParam().precision; }
  // As the conformance test has it: what rounding does to a logit grows with the logits. Rows of 32 numbers are few for
  // FP8, and pre-norm streams are not rescaled after each block.
  double tolerance(double span) const {
    const double recorded = testing::tolerance(EngineKind::kCuda, precision()).recorded;
    return precision() == Precision::kFp32
               ? recorded
               : recorded * std::max(1.0, span / 2) * (precision() == Precision::kFp8 ? 1.5 : 1);
  }
};

INSTANTIATE_TEST_SUITE_P(Precisions, CudaDecoderTest,
                         ::testing::Values(Case{Precision::kFp32, emulation::Order::kLate},
                                           Case{Precision::kFp16, emulation::Order::kEarly},
                                           Case{Precision::kBf16, emulation::Order::kLate},
                                           Case{Precision::kFp8, emulation::Order::kEarly}),
                         [](const auto& info) { return std::string(word_of(info.param.precision)); });

std::string decoder(const char* name) { return std::string(RERANKD_SOURCE_DIR "/tests/data/decoders/") + name; }

double span_of(const std::vector<testing::GoldenPair>& pairs) {
  const auto less = [](const auto& a, const auto& b) { return a.logit < b.logit; };
  const auto [low, high] = std::minmax_element(pairs.begin(), pairs.end(), less);
  return high->logit - low->logit;
}

TEST_P(CudaDecoderTest, EqualsRecordedLogitsOfEveryDecoder) {
  size_t compared = 0;
  for (const std::string& folder : testing::decoder_models()) {
    const auto model = load(folder);
    const bool experts = has_experts(model->architecture());
    const auto backend = open(model, {.precision = precision()});
    ASSERT_NE(backend, nullptr) << folder;
    const auto pairs = testing::read_golden_pairs(folder);
    engine::OwnedBatch batch;
    for (const auto& pair : pairs) batch.add(pair.ids, pair.segments);
    const auto logits = run(*backend, batch.view());
    // Where rounding turns a choice of experts around, a logit takes a step.
    const double allowed = tolerance(span_of(pairs)) * (experts && precision() != Precision::kFp32 ? 4 : 1);
    for (size_t i = 0; i < pairs.size(); ++i) EXPECT_NEAR(logits[i], pairs[i].logit, allowed) << folder << " " << i;
    ++compared;
  }
  EXPECT_GE(compared, 12u);
}

// A layerwise model's output after each layer that has one.
TEST_P(CudaDecoderTest, EqualsRecordedOutputsOfEachLayer) {
  const std::string folder = decoder("minicpm-a");
  const auto model = load(folder);
  const auto backend = open(model, {.precision = precision()});
  const auto pairs = testing::read_golden_pairs(folder);
  const auto outputs = testing::read_golden_outputs(folder);
  engine::OwnedBatch batch;
  for (const auto& pair : pairs) batch.add(pair.ids, pair.segments);
  const size_t first = model->architecture().scoring.first_output, last = model->architecture().layers();
  for (size_t i = 0; i < pairs.size(); ++i)
    batch.layers.push_back(static_cast<uint8_t>(first + i % (last - first + 1)));
  const auto logits = run(*backend, batch.view());
  for (size_t i = 0; i < pairs.size(); ++i)
    EXPECT_NEAR(logits[i], outputs[i].at(batch.layers[i] - first), tolerance(span_of(pairs))) << i;
}

// In a contest the best of each output go on; who leaves has its layer's logit.
TEST_P(CudaDecoderTest, OutputsOfEarlierLayersDecideContests) {
  const auto model = load(decoder("minicpm-a"));
  const auto backend = open(model, {.precision = precision()});
  const auto pairs = testing::read_golden_pairs(decoder("minicpm-a"));
  const auto outputs = testing::read_golden_outputs(decoder("minicpm-a"));
  engine::OwnedBatch batch;
  for (const auto& pair : pairs) batch.add(pair.ids, pair.segments);
  const auto size = static_cast<uint32_t>(pairs.size());
  const std::vector<engine::Contest> contests = {{.size = size, .keep = 2, .stay = size / 2}};
  std::vector<float> logits(size);
  std::vector<uint8_t> depths(size);
  ASSERT_TRUE(backend->forward_contests(batch, contests, logits, depths).ok());
  const size_t last = model->architecture().layers();
  for (size_t i = 0; i < size; ++i) {
    const size_t layers = depths[i] == 0 ? last : depths[i];
    EXPECT_NEAR(logits[i], outputs[i].at(layers - 2), tolerance(span_of(pairs))) << i;
  }
  EXPECT_EQ(std::count(depths.begin(), depths.end(), 2), size - size / 2);
  EXPECT_EQ(std::count(depths.begin(), depths.end(), 0), 2 + (size / 2 - 2 + 1) / 2);
}

// Some queries behind one template, with documents that begin with others, are empty, or stand alone.
engine::OwnedBatch requests(const model::Architecture& a, uint64_t seed, size_t most) {
  std::mt19937_64 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const auto some = [&](size_t count) {
    std::vector<int32_t> ids(count);
    for (int32_t& id : ids) id = static_cast<int32_t>(below(a.embedding.vocabulary));
    return ids;
  };
  const auto joined = [](std::vector<int32_t> x, const std::vector<int32_t>& y) {
    x.insert(x.end(), y.begin(), y.end());
    return x;
  };
  engine::OwnedBatch batch;
  const auto begin = some(1 + below(most));
  std::vector<int32_t> before;
  for (size_t query = 0; query <= below(3); ++query) {
    const auto with_query = joined(begin, some(below(most)));
    for (size_t i = 0; i <= below(6); ++i) {
      auto ids = joined(below(4) == 0 && !before.empty() ? before : with_query, some(below(40)));
      if (below(6) == 0) ids.resize(1 + below(ids.size()));
      ids.resize(std::min(ids.size(), a.max_length));
      batch.add(ids);
      before = ids;
    }
  }
  return batch;
}

TEST_P(CudaDecoderTest, SharedPrefixesChangeNoScore) {
  size_t saved = 0;
  for (const char* name : {"qwen3-b", "qwen2-b", "gemma2-a"}) {
    const auto model = load(decoder(name));
    const auto sharing = open(model, {.precision = precision()});
    const auto alone = open(model, {.precision = precision(), .prefix_bytes = 0});
    ASSERT_NE(sharing->prefix_counters(), nullptr);
    EXPECT_EQ(alone->prefix_counters(), nullptr);
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const auto batch = requests(model->architecture(), seed, 90);
      EXPECT_EQ(run(*sharing, batch.view()), run(*alone, batch.view())) << name << " seed " << seed;
    }
    const auto& counters = *sharing->prefix_counters();
    saved += counters.shared_tokens;
    EXPECT_GT(counters.computed_tokens, 0u);
  }
  EXPECT_GT(saved, 500u) << "nothing was shared";
}

// Sharing is for whole passes: states after layers are those of whole sequences.
TEST_P(CudaDecoderTest, StatesBehindLayersAreOfWholeSequences) {
  const auto model = load(decoder("qwen3-b"));
  const auto batch = requests(model->architecture(), 1, 90);
  const size_t width = model::exit_width(model->architecture()), layers = model->architecture().layers();
  std::vector<std::vector<float>> states;
  for (const size_t prefix_bytes : {size_t{1} << 20, size_t{0}}) {
    const auto backend = open(model, {.precision = precision(), .prefix_bytes = prefix_bytes});
    std::vector<float> logits(batch.size()), found(batch.size() * (layers - 1) * width);
    ASSERT_TRUE(backend->forward_with_states(batch, logits, found).ok());
    states.push_back(found);
    EXPECT_EQ(logits, run(*backend, batch.view()));
  }
  EXPECT_EQ(states[0], states[1]);
  if (precision() != Precision::kFp32) return;
  std::vector<float> logits(batch.size()), expected(states[0].size());
  ASSERT_TRUE(engine::make_reference_backend(model)->forward_with_states(batch, logits, expected).ok());
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(states[0][i], expected[i], 1e-3) << i;
}

// Heads that have a kernel on tensor cores, causal, at the edges of tiles, with windows and without.
TEST_P(CudaDecoderTest, CausalMasksEqualTheReferenceAtEdgeLengths) {
  for (const size_t head : {32, 48, 64, 96, 128, 256}) {
    auto model = std::make_shared<model::Model>(*load(testing::write_tiny_model(
        {.layers = 2, .hidden = 2 * head, .heads = 2, .intermediate = 64, .positions = 256}, "cuda_causal")));
    model->config.architecture.scoring.rows = model::ScoredRows::kLast;
    for (const size_t window : {0, 1, 20, 64}) {
      if (head == 256 && window % 20 != 0) continue;  // for time
      for (model::Block& block : model->config.architecture.blocks) {
        block.attention.mask = model::MaskKind::kCausal;
        block.attention.window = window;
      }
      // Long enough on the average for tiles of 128 queries, where those are taken.
      const auto batch = random_batch(model->config, {1, 16, 63, 64, 65, 128, 129, 200, 256});
      const auto expected = run(*engine::make_reference_backend(model), batch.view());
      const auto logits = run(*open(model, {.precision = precision()}), batch.view());
      const double generated = testing::tolerance(EngineKind::kCuda, precision()).generated;
      const double allowed = precision() == Precision::kFp8 ? 1.5 * generated : generated;
      for (size_t i = 0; i < logits.size(); ++i)
        EXPECT_NEAR(logits[i], expected[i], allowed)
            << "heads of " << head << " window " << window << " length " << batch.view().length(i);
    }
  }
}

}  // namespace
}  // namespace rerank
