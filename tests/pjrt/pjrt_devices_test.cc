// Batches over the fake plugin's devices and shapes: all of them computed once, by devices that work; and programs from
// the cache.
#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "support.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<fs::path> files_of(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

TEST(PjrtDevicesTest, EachSequenceGetsItsOwnLogitInWhateverShape) {
  auto backend = open(with_plugin(fake_plugin("good")));
  ASSERT_TRUE(backend.ok()) << backend.status();
  EXPECT_EQ((*backend)->info().max_length, 64u);
  EXPECT_EQ((*backend)->info().batches_in_flight, 2u);
  EXPECT_TRUE((*backend)->info().offloads);
  for (const size_t count : {1, 7, 100}) {
    const FakePairs pairs(count);
    std::vector<float> logits(count);
    ASSERT_TRUE((*backend)->forward(pairs.batch, logits).ok());
    pairs.expect_equal(logits);
  }
}

TEST(PjrtDevicesTest, TwoBatchesInFlightDoNotMix) {
  auto backend = open(with_plugin(fake_plugin("good"), "slow=1"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (size_t turn = 0; turn < 10; ++turn) {
        const FakePairs pairs(5 + 20 * t);
        std::vector<float> logits(pairs.expected.size());
        EXPECT_TRUE((*backend)->forward(pairs.batch, logits).ok());
        pairs.expect_equal(logits);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(PjrtDevicesTest, ASequenceThatNoProgramHoldsIsRefused) {
  auto backend = open(with_plugin(fake_plugin("good")));
  ASSERT_TRUE(backend.ok()) << backend.status();
  OwnedBatch batch;
  batch.add(std::vector<int32_t>(65, 7));
  std::vector<float> logits(1);
  EXPECT_THAT(std::string(message_of((*backend)->forward(batch, logits))), HasSubstr("no program holds more than 64"));
}

TEST(PjrtDevicesTest, DevicesShareTheWork) {
  for (const char* how : {"devices=3", "devices=3;no_portable=true"}) {
    BackendOptions options = with_plugin(fake_plugin("good"), how);
    options.devices = "0,1,2";
    auto backend = open(options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_EQ((*backend)->devices().size(), 3u);
    const FakePairs pairs(200);
    std::vector<float> logits(200);
    ASSERT_TRUE((*backend)->forward(pairs.batch, logits).ok());
    pairs.expect_equal(logits);
  }
}

TEST(PjrtDevicesTest, WhatALostDeviceHadIsDoneByTheOthers) {
  BackendOptions options = with_plugin(fake_plugin("good"), "devices=3;fail_device=1;fail_after=2");
  options.devices = "0,1,2";
  auto backend = open(options);
  ASSERT_TRUE(backend.ok()) << backend.status();
  const FakePairs pairs(100);
  for (size_t turn = 0; turn < 5; ++turn) {
    std::vector<float> logits(100);
    ASSERT_TRUE((*backend)->forward(pairs.batch, logits).ok());
    pairs.expect_equal(logits);
  }
  size_t up = 0;
  for (const auto& device : (*backend)->devices()) up += device->up ? 1 : 0;
  EXPECT_EQ(up, 2u);
}

TEST(PjrtDevicesTest, AFailureOfTheOnlyDeviceFailsTheBatchWithItsReason) {
  const FakePairs pairs(20);
  std::vector<float> logits(20);
  auto lost = open(with_plugin(fake_plugin("good"), "fail_after=0"));
  ASSERT_TRUE(lost.ok());
  const Status status = (*lost)->forward(pairs.batch, logits);
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_THAT(std::string(message_of(status)), HasSubstr("the device is lost"));
  auto full = open(with_plugin(fake_plugin("good"), "fail_after=0;fail_code=8"));
  ASSERT_TRUE(full.ok());
  EXPECT_TRUE(absl::IsResourceExhausted((*full)->forward(pairs.batch, logits)));
  lost->reset();
  full->reset();
  EXPECT_EQ(counts()[3], 0) << "buffers are not given back";
}

TEST(PjrtDevicesTest, ALaterStartLoadsWhatAnEarlierCompiled) {
  BackendOptions options = with_plugin(fake_plugin("good"));
  options.pjrt_cache = fresh_folder("cache");
  const auto start = [&] {
    const auto before = counts();
    auto backend = open(options);
    EXPECT_TRUE(backend.ok()) << backend.status();
    const FakePairs pairs(30);
    std::vector<float> logits(30);
    EXPECT_TRUE((*backend)->forward(pairs.batch, logits).ok());
    pairs.expect_equal(logits);
    backend->reset();  // waits for what is being compiled
    const auto after = counts();
    return std::pair(after[0] - before[0], after[1] - before[1]);
  };
  const auto first = start();
  EXPECT_GE(first.first, 2);
  EXPECT_EQ(first.second, 0);
  while (files_of(options.pjrt_cache).size() < 3) start();  // the third is compiled in a thread, which may be stopped
  const auto second = start();
  EXPECT_EQ(second.first, 0);
  EXPECT_GE(second.second, 2);
  // Another precision is another program.
  options.precision = Precision::kFp32;
  EXPECT_GE(start().first, 2);
  fs::remove_all(options.pjrt_cache);
}

TEST(PjrtDevicesTest, ADamagedOrForeignProgramIsCompiledAnew) {
  BackendOptions options = with_plugin(fake_plugin("good"));
  options.pjrt_shapes = "1x64";
  options.pjrt_cache = fresh_folder("damaged");
  const auto compiled = [&] {
    const auto before = counts();
    EXPECT_TRUE(open(options).ok());
    return counts()[0] - before[0];
  };
  EXPECT_EQ(compiled(), 1);
  const auto files = files_of(options.pjrt_cache);
  ASSERT_EQ(files.size(), 1u);
  std::string whole;
  {
    std::ifstream in(files[0], std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::string flipped = whole;
  flipped.back() ^= 1;
  for (const std::string& bytes : {std::string(), std::string("text"), whole.substr(0, whole.size() - 1), flipped}) {
    std::ofstream(files[0], std::ios::binary) << bytes;
    EXPECT_EQ(compiled(), 1) << bytes.size();
    EXPECT_EQ(compiled(), 0) << "written anew";
  }
  fs::remove_all(options.pjrt_cache);
}

TEST(PjrtDevicesTest, TheCacheHasALimitAndIsOurs) {
  BackendOptions options = with_plugin(fake_plugin("good"));
  options.pjrt_cache = fresh_folder("limit");
  options.pjrt_cache_bytes = 700;  // two of three
  for (size_t turn = 0; turn < 3; ++turn) ASSERT_TRUE(open(options).ok());
  uintmax_t bytes = 0;
  for (const fs::path& file : files_of(options.pjrt_cache)) bytes += fs::file_size(file);
  EXPECT_LE(bytes, 700u);
  fs::permissions(options.pjrt_cache, fs::perms::all);
  EXPECT_THAT(std::string(message_of(open(options).status())), HasSubstr("anybody can write into it"));
  fs::remove_all(options.pjrt_cache);
}

}  // namespace
}  // namespace rerank::engine
