// Programs compiled ahead: for this machine's CPU, from which the engine then starts, and for TPUs that are not there.
// The plugins are fetched by tools/pjrt.sh (--tpu).
#include <gmock/gmock.h>

#include <fstream>

#include "base/log.h"
#include "engine/pjrt/ahead.h"
#include "support.h"
#include "support/golden.h"
#include "support/tolerances.h"

namespace rerank::engine::pjrt {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kNewest = RERANKD_SOURCE_DIR "/.deps/pjrt/newest.so";
const std::string kTpu = RERANKD_SOURCE_DIR "/.deps/pjrt/libtpu.so";

AheadOptions ahead(const std::string& plugin, const std::string& topology, const std::string& folder) {
  return {.plugin = plugin,
          .topology = topology,
          .options = "",
          .matrices = Element::kF32,
          .shapes = {{1, 64}, {4, 32}},
          .folder = folder,
          .max_bytes = size_t{1} << 30};
}

std::string error_of(const AheadOptions& options) {
  const auto report = compile_ahead(bert()->architecture(), options, {});
  return report.ok() ? "ok" : std::string(message_of(report.status()));
}

TEST(PjrtAheadTest, WhatIsMadeForThisMachineIsWhatTheEngineLoads) {
  if (!fs::exists(kNewest)) GTEST_SKIP() << kNewest << " is not there: tools/pjrt.sh fetches it";
  const std::string folder = fresh_folder("ahead");
  AheadOptions wanted = ahead(kNewest, "", folder);
  wanted.shapes = {{1, 512}, {4, 32}};
  const auto report = compile_ahead(bert()->architecture(), wanted, {});
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->programs.size(), 2u);
  for (const AheadProgram& program : report->programs) {
    EXPECT_GT(program.bytes, 1000u);
    EXPECT_TRUE(fs::exists(program.file));
  }
  EXPECT_THAT(report_json(*report), AllOf(HasSubstr("\"platform\": \"cpu\""), HasSubstr("\"rows\": 4")));
  std::string lines;
  set_log_sink([&](LogLevel, std::string_view message, std::span<const LogField>) { lines += message; });
  BackendOptions options = with_plugin(kNewest);
  options.precision = Precision::kFp32;
  options.pjrt_shapes = "1x512,4x32";
  options.pjrt_cache = folder;
  auto backend = open(options);
  set_log_sink({});
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_THAT(lines,
              AllOf(HasSubstr("1x512 are ready, from --pjrt-cache"), HasSubstr("4x32 are ready, from --pjrt-cache")));
  const auto pairs = testing::read_golden_pairs(RERANKD_SOURCE_DIR "/tests/data/models/bert-a");
  OwnedBatch batch;
  for (const auto& pair : pairs) batch.add(pair.ids, pair.segments);
  std::vector<float> logits(pairs.size());
  ASSERT_TRUE((*backend)->forward(batch, logits).ok());
  const double tolerance = testing::tolerance(EngineKind::kPjrt, Precision::kFp32).recorded;
  for (size_t i = 0; i < pairs.size(); ++i) EXPECT_NEAR(logits[i], pairs[i].logit, tolerance);
  fs::remove_all(folder);
}

TEST(PjrtAheadTest, WhatCannotBeCompiledForIsSaid) {
  EXPECT_THAT(error_of(ahead(fake_plugin("good"), "v5e:1x1", fresh_folder("none"))),
              HasSubstr("lacks the function TopologyDescription_Create"));
  EXPECT_THAT(error_of(ahead("/nowhere", "v5e:1x1", fresh_folder("none"))), HasSubstr("no such file"));
}

class TpuTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!fs::exists(kTpu)) GTEST_SKIP() << kTpu << " is not there: tools/pjrt.sh --tpu fetches it";
  }
};

// One model of each family, and of each kind of decoder.
std::vector<std::string> families() {
  std::vector<std::string> folders;
  for (const auto& all : {testing::golden_models(), testing::decoder_models()})
    for (const std::string& folder : all)
      if (folder.ends_with("-a")) folders.push_back(folder);
  return folders;
}

TEST_P(TpuTest, EveryFamilyCompilesAndSpeaksWithNobody) {
  const std::string folder = fresh_folder("tpu");
  for (const std::string& model_folder : families()) {
    const auto model = model::load_model(model_folder);
    ASSERT_TRUE(model.ok()) << model.status();
    AheadOptions options = ahead(kTpu, GetParam(), folder);
    options.matrices = Element::kBF16;
    options.shapes = {{8, 32}};
    const auto report = compile_ahead((*model)->architecture(), options, {});
    ASSERT_TRUE(report.ok()) << model_folder << ": " << report.status();
    const AheadProgram& program = report->programs.at(0);
    EXPECT_GT(program.optimized_bytes, 1000u) << model_folder;
    EXPECT_FALSE(program.collectives) << model_folder;
    EXPECT_GT(program.cost.peak_bytes, 0u) << model_folder;
    EXPECT_LT(program.cost.peak_bytes, uint64_t{64} << 20) << model_folder;
    EXPECT_GT(program.bytes, 1000u) << model_folder;
  }
  fs::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Topologies, TpuTest, ::testing::Values("v4:2x2x1", "v5e:1x1", "v6e:1x1", "tpu7x:2x2x1"),
                         [](const auto& info) {
                           std::string name = info.param;
                           return name.substr(0, name.find(':'));
                         });

TEST(PjrtAheadTest, APlaceThatIsNoTopologyIsRefused) {
  if (!fs::exists(kTpu)) GTEST_SKIP() << kTpu << " is not there: tools/pjrt.sh --tpu fetches it";
  EXPECT_THAT(error_of(ahead(kTpu, "v99:1x1", fresh_folder("none"))), HasSubstr("--pjrt-topology v99:1x1"));
}

// 16 GB of a v5e: what does not fit is refused before there is a device, with figures.
TEST(PjrtAheadTest, MoreThanTheDevicesMemoryIsRefused) {
  if (!fs::exists(kTpu)) GTEST_SKIP() << kTpu << " is not there: tools/pjrt.sh --tpu fetches it";
  AheadOptions options = ahead(kTpu, "v5e:1x1", fresh_folder("none"));
  options.shapes = {{1048576, 64}};
  EXPECT_THAT(error_of(options), AllOf(HasSubstr("a block of 1048576x64"), HasSubstr("Ran out of memory")));
}

}  // namespace
}  // namespace rerank::engine::pjrt
