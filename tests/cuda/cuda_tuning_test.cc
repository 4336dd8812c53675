// The fastest of cuBLASLt's algorithms is taken, by the clock of the emulated device, and kept in a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/log.h"
#include "engine/cuda/kernels/row_classes.h"
#include "support.h"

namespace rerank {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CudaTuningTest : public ::testing::Test {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    model = load(testing::write_tiny_model({.hidden = 64, .heads = 2, .positions = 128}, "cuda_tuning"));
    batch = random_batch(model->config, {5, 90, 33, 64, 1, 120});
    expected = run(*open(model, {}), batch.view());
    fs::remove_all(folder);
    set_log_sink([this](LogLevel level, std::string_view line, auto) {
      if (level == LogLevel::kWarning) warnings.emplace_back(line);
    });
  }
  void TearDown() override {
    set_log_sink({});
    emulation::settings() = {};
  }

  // How often each algorithm is run for a batch whose shapes are known.
  std::vector<size_t> runs_of(engine::Backend& backend) {
    emulation::products() = {};
    EXPECT_EQ(run(backend, batch.view()), expected);
    return emulation::products().runs;
  }
  // Which algorithms a new engine runs for its first batch, and its second.
  std::vector<size_t> runs_when_tuned() {
    const auto backend = open(model, {});
    EXPECT_EQ(run(*backend, batch.view()), expected);
    return runs_of(*backend);
  }
  engine::BackendOptions cached(Precision precision = Precision::kAuto) const {
    return {.precision = precision, .tuning_cache = folder};
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> found;
    if (!fs::exists(folder)) return found;
    for (const auto& entry : fs::directory_iterator(folder)) found.push_back(entry.path());
    return found;
  }

  static std::string bytes_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::shared_ptr<const model::Model> model;
  engine::OwnedBatch batch;
  std::vector<float> expected;
  std::vector<std::string> warnings;
  const std::string folder = ::testing::TempDir() + "cuda_tuning/of/this/test";
};

TEST_F(CudaTuningTest, TheFastestAlgorithmIsTaken) {
  emulation::settings().algorithms_us = {10, 7, 4, 8};
  EXPECT_THAT(runs_when_tuned(), ElementsAre(0, 0, Gt(5u)));
}

TEST_F(CudaTuningTest, TheFirstGuessStaysWhereNothingIsWorthAChange) {
  emulation::settings().algorithms_us = {10, 9.9, 12};
  EXPECT_THAT(runs_when_tuned(), ElementsAre(Gt(5u)));
}

TEST_F(CudaTuningTest, OneCandidateIsTakenUntried) {
  emulation::settings().algorithms_us = {10, 7, 4, 8};
  const auto backend = open(model, {.cuda_candidates = 1});
  emulation::products() = {};
  EXPECT_EQ(run(*backend, batch.view()), expected);
  EXPECT_THAT(emulation::products().runs, ElementsAre(Gt(5u)));
  emulation::products() = {};
  EXPECT_EQ(run(*open(model, {.cuda_candidates = 2}), batch.view()), expected);
  EXPECT_EQ(emulation::products().runs.size(), 2u);
}

TEST_F(CudaTuningTest, AlgorithmsThatDoNotRunArePassedOver) {
  emulation::settings().algorithms_us = {1, 9, 5, 7};
  emulation::settings().broken_algorithms = {0, 3};
  EXPECT_THAT(runs_when_tuned(), ElementsAre(0, 0, Gt(5u)));
  emulation::settings().broken_algorithms = {0, 1, 2, 3};
  std::vector<float> logits(batch.view().size());
  EXPECT_EQ(open(model, {})->forward(batch.view(), logits).code(), absl::StatusCode::kInternal);
}

// No request waits for long: slow products are taken as they come.
TEST_F(CudaTuningTest, TryingEndsWhenItsTimeIsUp) {
  emulation::settings().algorithms_us = {14000, 1, 1, 1};
  EXPECT_THAT(runs_when_tuned(), ElementsAre(Gt(5u)));
}

TEST_F(CudaTuningTest, WhatWasFoundIsKeptForLaterEngines) {
  emulation::settings().algorithms_us = {10, 7, 4, 8};
  runs_of(*open(model, cached()));
  EXPECT_GT(emulation::products().questions, 0u);
  ASSERT_EQ(files().size(), 1u);
  EXPECT_THAT(runs_of(*open(model, cached())), ElementsAre(0, 0, Gt(5u)));
  EXPECT_EQ(emulation::products().questions, 0u);

  // Another precision asks anew, and both are in the file.
  const auto fp32 = run(*open(model, cached(Precision::kFp32)), batch.view());
  EXPECT_GT(emulation::products().questions, 0u);
  emulation::products() = {};
  EXPECT_EQ(run(*open(model, cached(Precision::kFp32)), batch.view()), fp32);
  EXPECT_EQ(run(*open(model, cached()), batch.view()), expected);
  EXPECT_EQ(emulation::products().questions, 0u);
  EXPECT_EQ(files().size(), 1u);

  // Another driver has a file of its own.
  emulation::settings().driver_version++;
  runs_of(*open(model, cached()));
  EXPECT_GT(emulation::products().questions, 0u);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(CudaTuningTest, AFileThatIsBrokenOrForeignIsPassedOverAndWrittenAnew) {
  emulation::settings().algorithms_us = {10, 7, 4, 8};
  runs_of(*open(model, cached()));
  const fs::path file = files().at(0);
  const std::string whole = bytes_of(file);
  std::string flipped = whole, foreign_magic = whole, other_device;
  flipped[whole.size() - 5] ^= 1;
  foreign_magic[0] ^= 1;
  emulation::settings().driver_version++;  // a whole file of another driver, under this one's name
  runs_of(*open(model, cached()));
  for (const fs::path& path : files()) {
    if (path != file) other_device = bytes_of(path);
  }
  emulation::settings().driver_version--;
  for (const std::string& content : {std::string(), whole.substr(0, 10), whole.substr(0, whole.size() - 1), whole + "x",
                                     flipped, foreign_magic, other_device, std::string(1u << 20, 'x')}) {
    std::ofstream(file, std::ios::binary) << content;
    warnings.clear();
    runs_of(*open(model, cached()));
    EXPECT_GT(emulation::products().questions, 0u) << content.size();
    EXPECT_THAT(warnings, ElementsAre(HasSubstr(file.filename().string()))) << content.size();
    EXPECT_EQ(fs::file_size(file), whole.size());
  }
  EXPECT_EQ(files().size(), 2u);  // nothing half-written is left behind
}

TEST_F(CudaTuningTest, AlgorithmsThatThisDeviceDoesNotKnowAreFoundAnew) {
  emulation::settings().algorithms_us = {10, 7, 4, 2};
  runs_of(*open(model, cached()));
  emulation::settings().algorithms_us = {10, 7};  // as if the file lied about its device
  const auto backend = open(model, cached());
  run(*backend, batch.view());
  EXPECT_THAT(runs_of(*backend), ElementsAre(0, Gt(5u)));
}

TEST_F(CudaTuningTest, WhereNothingCanBeKeptThatIsSaidOnce) {
  emulation::settings().algorithms_us = {10, 7};
  const auto backend = open(model, {.tuning_cache = "/proc/none"});
  for (const size_t length : {20, 100, 128})
    run(*backend, random_batch(model->config, {length, length, length}).view());
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("--tuning-cache")));
}

TEST_F(CudaTuningTest, OneFailingCallWhileTuningFailsOneBatch) {
  emulation::settings().algorithms_us = {10, 7, 4};
  const auto probe = open(model, cached());
  const size_t calls = emulation::calls();
  run(*probe, batch.view());
  const size_t needed = emulation::calls() - calls;
  for (size_t n = 0; n < needed; n += 11) {
    fs::remove_all(folder);
    const auto backend = open(model, cached());
    emulation::settings().calls_to_failure = static_cast<int>(n);
    std::vector<float> logits(batch.view().size());
    const Status status = backend->forward(batch.view(), logits);
    EXPECT_TRUE(status.code() == absl::StatusCode::kInternal || logits == expected) << n << " " << status;
    EXPECT_EQ(run(*backend, batch.view()), expected) << n;
    EXPECT_EQ(run(*backend, batch.view()), expected) << n;
  }
}

TEST(RowClasses, AreFewAndWasteLittle) {
  std::set<uint32_t> classes;
  for (uint32_t rows = 1; rows <= 8192; ++rows) {
    const uint32_t padded = engine::cuda::padded_rows(rows);
    ASSERT_GE(padded, rows);
    ASSERT_LT(padded - rows, std::max(64u, rows / 16 + 1));
    ASSERT_EQ(engine::cuda::padded_rows(padded), padded);
    classes.insert(padded);
  }
  EXPECT_EQ(classes.size(), 64u);
}

}  // namespace
}  // namespace rerank
