// What other families than BERT bring (pre-norm blocks, gates, windows, rotations, means) beside the parts of an engine
// that their logits alone do not show: fewer layers, states, contests, shared weights, refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/strings.h"
#include "engine/attention_pattern.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/reference/reference_backend.h"
#include "engine/registry.h"
#include "engine/supported.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank::engine {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const model::Model> load(const char* name) {
  auto model = model::load_model(std::string(RERANKD_SOURCE_DIR "/tests/data/models/") + name);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

OwnedBatch recorded_batch(const model::Model& model) {
  OwnedBatch batch;
  for (const auto& pair : testing::read_golden_pairs(model.folder)) {
    if (pair.ids.size() <= 200) batch.add(pair.ids, pair.segments);
  }
  return batch;
}

// Exits that read the first token's first state.
std::shared_ptr<const model::Exits> exits_of(const model::Model& model) {
  model::Exits exits;
  for (size_t layer = 0; layer + 1 < model.architecture().layers(); ++layer) {
    model::ExitHead head;
    head.weights.assign(model::exit_width(model.architecture()), 0.0f);
    head.weights[0] = 1;
    head.error = 1e-3f;
    exits.heads.push_back(head);
  }
  return std::make_shared<const model::Exits>(std::move(exits));
}

std::vector<float> logits_of(Backend& backend, const Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

class FamilyTest : public ::testing::TestWithParam<const char*> {};

TEST_P(FamilyTest, EachDepthEqualsTheReference) {
  const auto model = load(GetParam());
  OwnedBatch batch = recorded_batch(*model);
  auto reference = make_reference_backend(model);
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    auto backend = make_cpu_backend(model, {.precision = tier->precision, .kernel = tier->tier, .threads = 2});
    ASSERT_TRUE(backend.ok()) << backend.status();
    const double tolerance = 4 * testing::generated_tolerance_of_tier(tier->tier, tier->precision);
    for (uint8_t layers = 1; layers <= model->architecture().layers(); ++layers) {
      batch.layers.assign(batch.size(), layers);
      const auto expected = logits_of(*reference, batch), found = logits_of(**backend, batch);
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_NEAR(found[i], expected[i], tolerance)
            << word_of(tier->tier) << " layers " << int{layers} << " sequence " << i;
    }
  }
}

// Contests and states go through saved states of the stream: who stays has the score of an undisturbed pass.
TEST_P(FamilyTest, WhoStaysInAContestHasTheScoreOfTheFullDepth) {
  const auto model = load(GetParam());
  const OwnedBatch batch = recorded_batch(*model);
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    auto backend = make_cpu_backend(
        model, {.precision = tier->precision, .kernel = tier->tier, .threads = 2, .exits = exits_of(*model)});
    ASSERT_TRUE(backend.ok()) << backend.status();
    const auto full = logits_of(**backend, batch);
    std::vector<float> logits(batch.size());
    std::vector<uint8_t> depths(batch.size());
    const Contest contest{.first = 0, .size = static_cast<uint32_t>(batch.size()), .keep = 3, .margin = 1};
    ASSERT_TRUE((*backend)->forward_contests(batch, {&contest, 1}, logits, depths).ok());
    size_t stayed = 0;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (depths[i] != 0) continue;
      ++stayed;
      EXPECT_EQ(logits[i], full[i]) << word_of(tier->tier) << " " << i;
    }
    EXPECT_GE(stayed, 3u);
    EXPECT_LT(stayed, batch.size()) << "nobody left: the contest shows nothing";
    const size_t states_of_one = (model->architecture().layers() - 1) * model::exit_width(model->architecture());
    std::vector<float> states(batch.size() * states_of_one);
    ASSERT_TRUE((*backend)->forward_with_states(batch, logits, states).ok());
    EXPECT_EQ(logits, full) << word_of(tier->tier);
  }
}

TEST_P(FamilyTest, WeightsFromTheCacheGiveTheSameScores) {
  const auto model = load(GetParam());
  const OwnedBatch batch = recorded_batch(*model);
  const std::string folder = ::testing::TempDir() + "/families_test_cache";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    BackendOptions options{.precision = tier->precision, .kernel = tier->tier, .threads = 1};
    auto plain = make_cpu_backend(model, options);
    options.weight_cache = folder;
    options.weight_cache_bytes = 1u << 30;
    auto writer = make_cpu_backend(model, options), reader = make_cpu_backend(model, options);
    ASSERT_TRUE(plain.ok() && writer.ok() && reader.ok());
    const auto expected = logits_of(**plain, batch);
    EXPECT_EQ(logits_of(**writer, batch), expected) << word_of(tier->tier);
    EXPECT_EQ(logits_of(**reader, batch), expected) << word_of(tier->tier);
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, FamilyTest,
                         ::testing::Values("modernbert-a", "modernbert-b", "modernbert-c", "gte-a", "jina-v2-a",
                                           "jina-bert-a", "deberta-a", "deberta-b", "deberta-c", "mpnet-a", "albert-a",
                                           "longformer-a", "longformer-b", "nomic-moe-a", "nomic-moe-c",
                                           "../decoders/eurobert-a", "../decoders/eurobert-b"),
                         [](const auto& info) {
                           std::string name = info.param;
                           if (const size_t folder = name.rfind('/'); folder != name.npos) name.erase(0, folder + 1);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// DeBERTa-v2's buckets, as its paper and transformers have them: 256 of them for distances up to 512.
TEST(RelativePositionsTest, DistancesFallIntoTheirRows) {
  const model::Attention attention = {
      .position = model::PositionKind::kDisentangled,
      .relative = {.rows = 512, .buckets = 256, .max_distance = 512, .query_to_position = true}};
  const std::pair<ptrdiff_t, size_t> expected[] = {{0, 256},   {1, 257},   {-1, 255},  {128, 384}, {129, 385},
                                                   {200, 425}, {256, 448}, {300, 463}, {511, 511}, {5000, 511},
                                                   {-200, 87}, {-512, 0},  {-5000, 0}};
  for (const auto& [distance, row] : expected) EXPECT_EQ(relative_row(attention, distance), row) << distance;
  EXPECT_EQ(relative_reach(attention, 100), 100u);
  const size_t reach = relative_reach(attention, 8192);
  EXPECT_GT(reach, 500u);
  EXPECT_LE(reach, 512u);
}

// Blocks that share their tensors are packed once, but for the last one of int8.
TEST(SharedBlocksTest, TensorsOfAlbertAreBoundOnce) {
  const auto model = load("albert-a");
  for (size_t i = 0; i < model->architecture().layers(); ++i) EXPECT_EQ(model->weights.first_with_tensors_of(i), 0u);
  EXPECT_EQ(load("bert-a")->weights.first_with_tensors_of(1), 1u);
}

TEST(SupportedTest, WhatIsDescribedButNotComputedIsNamed) {
  model::Architecture a = load("modernbert-a")->architecture();
  EngineFeatures all = kAllFeatures;
  all.llama_blocks = all.decoder = all.softcap = all.sum_norms = all.mean_of_logits = all.experts = all.first_token =
      all.outputs = false;
  EXPECT_EQ(uncomputed_parts(a, all), "");
  EXPECT_THAT(uncomputed_parts(a, {}), AllOf(HasSubstr("pre-norm blocks"), HasSubstr("gated feed-forwards"),
                                             HasSubstr("rotary positions"), HasSubstr("windows of attention")));
  EXPECT_THAT(uncomputed_parts(load("deberta-c")->architecture(), {}),
              AllOf(HasSubstr("disentangled attention"), HasSubstr("a convolution")));
  EXPECT_THAT(uncomputed_parts(load("mpnet-a")->architecture(), {}), HasSubstr("bucketed relative positions"));
  const auto with = [&](const auto& change) {
    model::Architecture changed = a;
    change(changed, changed.blocks[1].attention);
    return uncomputed_parts(changed, all);
  };
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.kv_heads = 2; }), HasSubstr("grouped heads (2 of keys for 4)"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.mask = model::MaskKind::kCausal; }),
              HasSubstr("causal attention"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.mask = model::MaskKind::kWindowAndFirst; }),
              HasSubstr("global first token"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.query_key_norm = true; }),
              HasSubstr("norms of queries and keys"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.softcap = 30; }), HasSubstr("softcap"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.score_scale = 1; }), HasSubstr("scale of scores"));
  EXPECT_THAT(with([](auto&, model::Attention& t) { t.head_size = 16; }), HasSubstr("heads"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.norm = model::NormKind::kRms; }), HasSubstr("RMS norms"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) {
                c.blocks[0].feed_forward.experts = model::Experts{8, 2};
              }),
              HasSubstr("experts"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.blocks[0].sum_norms = true; }), HasSubstr("norms of what"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.scoring.softcap = 30; }), HasSubstr("a softcap of the logit"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.scoring.rows = model::ScoredRows::kMeanOfLogits; }),
              HasSubstr("mean"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.scoring.first_output = 1; }), HasSubstr("an output after"));
  EXPECT_THAT(with([](model::Architecture& c, auto&) { c.scoring.dense = false; }), HasSubstr("one linear layer"));
}

TEST(SupportedTest, EnginesRefuseWhatTheyDoNotCompute) {
  auto model = std::make_shared<model::Model>(*load("modernbert-a"));
  model->config.architecture.blocks[2].feed_forward.width += 8;
  const auto backend = make_cpu_backend(model, {});
  ASSERT_TRUE(absl::IsUnimplemented(backend.status()));
  EXPECT_THAT(std::string(message_of(backend.status())),
              HasSubstr("cpu engine: does not compute blocks of different shapes"));
  const auto reference = open_backend(model, EngineKind::kReference, {});
  ASSERT_TRUE(absl::IsUnimplemented(reference.status()));
  EXPECT_THAT(std::string(message_of(reference.status())), HasSubstr("does not compute blocks of different shapes"));
}

}  // namespace
}  // namespace rerank::engine
