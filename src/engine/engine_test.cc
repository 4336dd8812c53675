// The CPU engine against the reference on generated models and batches: every tier this CPU runs, every family, odd
// shapes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/team.h"
#include "engine/cpu/amx/tile_unit.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/grouping.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/cpu/weights/room.h"
#include "engine/reference/reference_backend.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"
#include "support/tolerances.h"

namespace rerank::engine {
namespace {

using testing::add_random;
using testing::TinyModelSpec;

std::vector<float> run(Backend& backend, const Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

std::shared_ptr<const model::Model> load(const TinyModelSpec& spec, const std::string& name) {
  auto model = model::load_model(testing::write_tiny_model(spec, name));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::vector<const cpu::KernelTable*> tiers() {
  std::vector<const cpu::KernelTable*> tables;
  for (const auto* table : cpu::compiled_kernels()) {
    if (cpu::unsupported_reason(*table).empty()) tables.push_back(table);
  }
  return tables;
}

double tolerance_of(const cpu::KernelTable& tier) {
  return testing::generated_tolerance_of_tier(tier.tier, tier.precision);
}

const std::vector<TinyModelSpec>& specs() {
  static const std::vector<TinyModelSpec> kSpecs = {
      {.architecture = "BertForSequenceClassification"},
      {.architecture = "BertForSequenceClassification",
       .layers = 3,
       .hidden = 312,
       .heads = 12,
       .intermediate = 1200,
       .labels = 2},
      {.architecture = "BertForSequenceClassification",
       .layers = 1,
       .hidden = 20,
       .heads = 5,
       .intermediate = 33,
       .activation = "gelu_new"},
      {.architecture = "RobertaForSequenceClassification", .heads = 2, .segments = 1, .activation = "silu"},
      {.architecture = "XLMRobertaForSequenceClassification",
       .hidden = 128,
       .heads = 2,
       .intermediate = 256,
       .segments = 1,
       .dtype = model::DType::kBF16},
      {.architecture = "DistilBertForSequenceClassification",
       .layers = 3,
       .activation = "relu",
       .dtype = model::DType::kF16},
      {.architecture = "ElectraForSequenceClassification", .hidden = 64, .embedding = 16},
      {.architecture = "ElectraForSequenceClassification", .layers = 3, .labels = 2},
  };
  return kSpecs;
}

TEST(CpuEngineTest, EqualsReferenceOnEveryTierAndFamily) {
  for (size_t m = 0; m < specs().size(); ++m) {
    auto model = load(specs()[m], "engine_test_" + std::to_string(m));
    auto reference = make_reference_backend(model);
    std::mt19937 random(7);
    OwnedBatch batch;
    for (size_t length : {3, 1, 17, 62, 32, 31, 33, 48, 2, 12, 13}) {
      add_random(batch, length, model->config.architecture.embedding.vocabulary,
                 model->config.architecture.embedding.segment_rows, random);
    }
    const auto expected = run(*reference, batch.view());
    for (const auto* tier : tiers()) {
      const double tolerance = tolerance_of(*tier);
      const bool emulated = cpu::traits_of(tier->tier).use == cpu::TierUse::kTests;  // slow: once is enough
      for (size_t threads : emulated ? std::vector<size_t>{3} : std::vector<size_t>{1, 3}) {
        auto backend = make_cpu_backend(model, {tier->precision, tier->tier, threads});
        ASSERT_TRUE(backend.ok()) << backend.status();
        const auto logits = run(**backend, batch.view());
        for (size_t i = 0; i < logits.size(); ++i) {
          EXPECT_NEAR(logits[i], expected[i], tolerance)
              << "model " << m << " tier " << word_of(tier->tier) << " sequence " << i;
        }
      }
    }
  }
}

TEST(CpuEngineTest, WeightsThatHaveNoRoomAreRefusedWithFigures) {
  const auto model = load({.hidden = 64}, "engine_test_room");
  const uint64_t fp32 = cpu::packed_bytes(model->weights, Precision::kFp32);
  EXPECT_EQ(cpu::packed_bytes(model->weights, Precision::kInt8) * 4, fp32);
  EXPECT_EQ(cpu::packed_bytes(model->weights, Precision::kInt4) * 64, fp32 * 9);
  const auto backend = make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 1});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->info().packed_bytes, fp32);
  EXPECT_TRUE(cpu::check_room(model->weights, Precision::kFp32, fp32).ok());
  const Status half = cpu::check_room(model->weights, Precision::kFp32, fp32 / 2);
  EXPECT_TRUE(absl::IsResourceExhausted(half));
  EXPECT_THAT(half.ToString(), ::testing::HasSubstr("these would have room: --precision bf16"));
  EXPECT_THAT(cpu::check_room(model->weights, Precision::kInt8, fp32 / 10).ToString(),
              ::testing::HasSubstr("no precision makes them fit"));
  EXPECT_TRUE(cpu::check_room(model->weights, Precision::kFp32, 3 * fp32, 2 * fp32).ok());
  const Status beside = cpu::check_room(model->weights, Precision::kFp32, 3 * fp32 - 1, 2 * fp32);
  EXPECT_TRUE(absl::IsResourceExhausted(beside));
  EXPECT_THAT(beside.ToString(), ::testing::HasSubstr("other models' weights have"));
}

// Refused before anything is packed: the machine has not as much as others are said to take.
TEST(CpuEngineTest, AModelBesideOthersThatTakeAllMemoryIsRefused) {
  const auto model = load({.hidden = 64}, "engine_test_room_beside");
  BackendOptions options = {.precision = Precision::kFp32};
  options.other_weights = uint64_t{1} << 60;
  const auto backend = make_cpu_backend(model, options);
  EXPECT_TRUE(absl::IsResourceExhausted(backend.status())) << backend.status();
}

// A batch that nobody wants any more ends; the next one is computed as ever.
TEST(CpuEngineTest, AStoppedBatchIsGivenUp) {
  for (const char* name : {"tests/data/decoders/qwen3-a", "tests/data/models/bert-a"}) {
    const auto loaded = model::load_model(std::string(RERANKD_SOURCE_DIR "/") + name);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    auto backend = make_cpu_backend(*loaded, {.precision = Precision::kFp32, .threads = 2});
    ASSERT_TRUE(backend.ok()) << backend.status();
    OwnedBatch batch;
    std::mt19937 random(7);
    for (size_t i = 0; i < 4; ++i) add_random(batch, 100, 90, 1, random);
    const auto expected = run(**backend, batch.view());
    std::atomic<bool> stop = true;
    std::vector<float> logits(batch.size());
    EXPECT_TRUE(absl::IsCancelled((*backend)->forward(batch.view(&stop), logits))) << name;
    stop = false;
    EXPECT_TRUE((*backend)->forward(batch.view(&stop), logits).ok());
    EXPECT_EQ(logits, expected) << name;
  }
}

// More keys than attention takes at a time, more rows than a product takes at a time, more inner columns than are kept.
TEST(CpuEngineTest, EqualsReferenceOnLongSequences) {
  auto model = load({.hidden = 64, .heads = 1, .intermediate = 1100, .positions = 700}, "engine_test_long");
  std::mt19937 random(8);
  OwnedBatch batch;
  for (size_t length : {650, 129, 300})
    add_random(batch, length, model->config.architecture.embedding.vocabulary, 2, random);
  const auto expected = run(*make_reference_backend(model), batch.view());
  for (const auto* tier : tiers()) {
    for (size_t threads : {1, 2}) {
      const auto logits = run(**make_cpu_backend(model, {tier->precision, tier->tier, threads}), batch.view());
      for (size_t i = 0; i < logits.size(); ++i) {
        EXPECT_NEAR(logits[i], expected[i], tolerance_of(*tier))
            << word_of(tier->tier) << " " << word_of(tier->precision) << " " << i;
      }
    }
  }
}

TEST(CpuEngineTest, ALogitDoesNotDependOnTheRestOfTheBatch) {
  auto model = load(specs()[0], "engine_test_alone");
  std::mt19937 random(3);
  OwnedBatch all;
  for (size_t i = 0; i < 40; ++i)
    add_random(all, 1 + random() % 62, model->config.architecture.embedding.vocabulary, 2, random);
  for (const auto* tier : tiers()) {
    auto backend = make_cpu_backend(model, {tier->precision, tier->tier, 2});
    const auto together = run(**backend, all.view());
    for (size_t i = 0; i < 40; ++i) {
      OwnedBatch one;
      one.ids.assign(all.ids.begin() + all.offsets[i], all.ids.begin() + all.offsets[i + 1]);
      one.segments.assign(all.segments.begin() + all.offsets[i], all.segments.begin() + all.offsets[i + 1]);
      one.offsets.push_back(static_cast<uint32_t>(one.ids.size()));
      EXPECT_EQ(run(**backend, one.view())[0], together[i]) << word_of(tier->tier) << " " << i;
    }
  }
}

TEST(CpuEngineTest, RefusesWhatTheModelCannotTake) {
  auto model = load(specs()[0], "engine_test_refuse");
  auto backend = make_cpu_backend(model, {});
  float logit = 0;
  const std::vector<uint32_t> offsets = {0, 1};
  const std::vector<int32_t> zero = {0}, outside = {100}, segment = {2};
  EXPECT_EQ((*backend)->forward({outside, zero, offsets}, {&logit, 1}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*backend)->forward({zero, segment, offsets}, {&logit, 1}).code(), absl::StatusCode::kInvalidArgument);
  std::vector<int32_t> long_ids(65, 0);
  const std::vector<uint32_t> long_offsets = {0, 65};
  EXPECT_EQ((*backend)->forward({long_ids, long_ids, long_offsets}, {&logit, 1}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(make_cpu_backend(model, {Precision::kFp32, KernelTier::kAvx512Bf16, 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

const cpu::KernelTable* find_tier(KernelTier tier, Precision precision) {
  for (const auto* table : tiers()) {
    if (table->tier == tier && table->precision == precision) return table;
  }
  return nullptr;
}

// AMX as instructions against AMX as loops: every tile operation, bit for bit.
#if defined(__x86_64__)
template <class Tiles>
std::vector<float> multiply_tiles(const std::vector<uint16_t>& a, const std::vector<uint16_t>& b) {
  std::vector<float> c(256, 0.5f);
  Tiles::configure();
  Tiles::template load<0>(c.data(), 64);
  for (int step = 0; step < 3; ++step) {
    Tiles::template load_stream<1>(a.data() + step * 512, 64);
    Tiles::template load<2>(b.data() + step * 512, 64);
    Tiles::template multiply_bf16<0, 1, 2>();
  }
  Tiles::template store<0>(c.data(), 64);
  Tiles::release();
  return c;
}

TEST(TileUnitTest, InstructionsEqualTheirEmulation) {
  if (find_tier(KernelTier::kAmx, Precision::kBf16) == nullptr) GTEST_SKIP() << "this CPU has no AMX";
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<uint16_t> a(3 * 512), b(3 * 512);
  for (auto* values : {&a, &b}) {
    for (auto& v : *values) {
      const float x = normal(random);
      uint32_t bits;
      std::memcpy(&bits, &x, 4);
      v = static_cast<uint16_t>(bits >> 16);
    }
  }
  EXPECT_EQ(multiply_tiles<cpu::HardwareTiles>(a, b), multiply_tiles<cpu::EmulatedTiles>(a, b));
}
#endif

// The code around them is compiled for other vectors in the two tiers, so that sums and exp round differently, and bf16
// makes a last digit visible: no closer than bf16 is to fp32.
TEST(CpuEngineTest, HardwareTilesEqualEmulatedTiles) {
  if (find_tier(KernelTier::kAmx, Precision::kBf16) == nullptr) GTEST_SKIP() << "this CPU has no AMX";
  auto model = load(specs()[1], "engine_test_amx");
  std::mt19937 random(9);
  OwnedBatch batch;
  for (size_t i = 0; i < 20; ++i)
    add_random(batch, 1 + random() % 62, model->config.architecture.embedding.vocabulary, 2, random);
  const auto real = run(**make_cpu_backend(model, {Precision::kBf16, KernelTier::kAmx, 1}), batch.view());
  const auto loops = run(**make_cpu_backend(model, {Precision::kBf16, KernelTier::kEmulatedAmx, 1}), batch.view());
  const double tolerance = testing::tolerance(EngineKind::kCpu, Precision::kBf16).generated;
  for (size_t i = 0; i < real.size(); ++i) EXPECT_NEAR(real[i], loops[i], tolerance) << i;
}

// Attention on tiles takes exp2 of scores as they are; these go up to some +-300, far beyond what fp32 can take, for
// every second row tile: 32 rows are computed again where some of them need it.
TEST(TileAttentionTest, LargeScoresNeitherOverflowNorVanish) {
  constexpr size_t kLength = 150, kHead = 32, kRowTiles = 11;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> q(kLength * kHead), k(q.size()), v(q.size());
  for (auto* values : {&q, &k, &v}) {
    for (float& x : *values) {
      const float wide = values == &v ? 1 : values == &k ? 4 : 4 * cpu::kScoreUnits;
      const uint32_t bits = static_cast<uint32_t>(cpu::to_bf16(normal(random) * wide)) << 16;
      std::memcpy(&x, &bits, 4);
    }
  }
  cpu::Buffer<std::byte> queries(kRowTiles * 1024), keys(queries.size()), values(queries.size()),
      context(queries.size());
  auto put = [](cpu::Buffer<std::byte>& to, size_t at, float x) {
    const uint16_t bits = cpu::to_bf16(x);
    std::memcpy(to.data() + at, &bits, 2);
  };
  for (size_t row = 0; row < kLength; ++row) {
    for (size_t c = 0; c < kHead; ++c) {
      if (row / 16 % 2 == 0) q[row * kHead + c] /= 16;
      const size_t tile = row / 16 * 1024;
      put(queries, tile + row % 16 * 64 + c * 2, q[row * kHead + c]);
      put(keys, tile + c / 2 * 64 + row % 16 * 4 + c % 2 * 2, k[row * kHead + c]);
      put(values, c / 16 * (kRowTiles * 512) + row / 2 * 64 + c % 16 * 4 + row % 2 * 2, v[row * kHead + c]);
    }
  }
  for (const KernelTier name : {KernelTier::kAmx, KernelTier::kEmulatedAmx}) {
    const cpu::KernelTable* tier = find_tier(name, Precision::kBf16);
    if (tier == nullptr) continue;
    cpu::Buffer<std::byte> scratch(tier->tiles->attention_scratch(1));
    cpu::TileAttention job;
    job.queries = queries.data();
    job.keys = keys.data();
    job.values = values.data();
    job.query_stride = job.key_stride = kRowTiles * 1024;
    job.query_rows = job.length = kLength;
    job.head_tiles = 1;
    job.context = context.data();
    job.context_stride = 1024;
    job.scratch = scratch.data();
    tier->tiles->attention(job);
    double furthest = 0;
    for (size_t row = 0; row < kLength; ++row) {
      std::vector<double> scores(kLength, 0.0);
      for (size_t key = 0; key < kLength; ++key) {
        for (size_t c = 0; c < kHead; ++c) scores[key] += q[row * kHead + c] * k[key * kHead + c];
        scores[key] /= cpu::kScoreUnits;
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      furthest = std::max(furthest, largest);
      for (size_t c = 0; c < kHead; ++c) {
        double sum = 0, expected = 0;
        for (size_t key = 0; key < kLength; ++key) {
          const double weight = std::exp2(scores[key] - largest);
          sum += weight;
          expected += weight * v[key * kHead + c];
        }
        uint16_t bits;
        std::memcpy(&bits, context.data() + row / 16 * 1024 + row % 16 * 64 + c * 2, 2);
        const uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float found;
        std::memcpy(&found, &wide, 4);
        ASSERT_NEAR(found, expected / sum, 0.03) << word_of(name) << " row " << row << " column " << c;
      }
    }
    EXPECT_GT(furthest, 250);
  }
}

TEST(CpuEngineTest, CopiesInABatchGetTheSameLogit) {
  auto model = load(specs()[0], "engine_test_copies");
  std::mt19937 random(2);
  OwnedBatch once;
  for (size_t length : {5, 9, 5}) add_random(once, length, model->config.architecture.embedding.vocabulary, 2, random);
  OwnedBatch twice = once;
  for (size_t i : {1, 0, 2, 0}) {
    twice.ids.insert(twice.ids.end(), once.ids.begin() + once.offsets[i], once.ids.begin() + once.offsets[i + 1]);
    twice.segments.insert(twice.segments.end(), once.segments.begin() + once.offsets[i],
                          once.segments.begin() + once.offsets[i + 1]);
    twice.offsets.push_back(static_cast<uint32_t>(twice.ids.size()));
  }
  // The same ids with other segments are another sequence.
  twice.ids.insert(twice.ids.end(), once.ids.begin(), once.ids.begin() + 5);
  twice.segments.insert(twice.segments.end(), 5, 1);
  twice.offsets.push_back(static_cast<uint32_t>(twice.ids.size()));
  auto backend = make_cpu_backend(model, {});
  const auto expected = run(**backend, once.view());
  const auto logits = run(**backend, twice.view());
  EXPECT_EQ((std::vector<float>(logits.begin(), logits.begin() + 3)), expected);
  EXPECT_EQ((std::vector<float>(logits.begin() + 3, logits.begin() + 7)),
            (std::vector<float>{expected[1], expected[0], expected[2], expected[0]}));
  EXPECT_NE(logits[7], expected[0]);
}

TEST(TeamTest, QuotasOfCgroupsBoundTheThreads) {
  const std::string root = ::testing::TempDir() + "cgroups";
  auto write = [&](const std::string& folder, const std::string& file, const std::string& text) {
    std::filesystem::create_directories(root + folder);
    std::ofstream(root + folder + "/" + file) << text;
  };
  EXPECT_EQ(cgroup_threads(root + "/none", "0::/a\n"), 0u);
  write("/v2/a/b", "cpu.max", "max 100000\n");
  write("/v2/a", "cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_threads(root + "/v2", "0::/a/b\n"), 3u);
  EXPECT_EQ(cgroup_threads(root + "/v2", "0::/elsewhere\n"), 0u);
  write("/v1/cpu/c", "cpu.cfs_quota_us", "100000\n");
  write("/v1/cpu/c", "cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_threads(root + "/v1", "5:memory:/m\n4:cpu,cpuacct:/c\n"), 1u);
  write("/v1/cpu/c", "cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(cgroup_threads(root + "/v1", "4:cpu,cpuacct:/c\n"), 0u);
}

TEST(GroupingTest, EverySequenceOnceAndEven) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint32_t> offsets{0};
    const size_t n = 1 + random() % 80;
    for (size_t i = 0; i < n; ++i) offsets.push_back(offsets.back() + 1 + random() % 512);
    const size_t threads = 1 + random() % 8;
    const auto grouping = cpu::share_out(offsets, threads, 512);
    std::vector<int> seen(n, 0);
    for (const auto& group : grouping.groups) {
      EXPECT_FALSE(group.empty());
      for (uint32_t s : group) ++seen[s];
    }
    EXPECT_THAT(seen, ::testing::Each(1));
  }
  const std::vector<uint32_t> one = {0, 512};
  EXPECT_TRUE(cpu::share_out(one, 2, 512).together);
  std::vector<uint32_t> eight{0};
  for (int i = 0; i < 8; ++i) eight.push_back(eight.back() + 128);
  EXPECT_FALSE(cpu::share_out(eight, 2, 512).together);
}

}  // namespace
}  // namespace rerank::engine
