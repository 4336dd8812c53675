// Several devices as one backend: who gets what, and what happens when one fails.
#include "engine/devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <random>
#include <thread>

#include "engine/cpu/cpu_backend.h"
#include "engine/registry.h"
#include "support/golden.h"
#include "support/random_batch.h"
#include "support/tiny_model.h"

namespace rerank::engine {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

// Each logit is the sequence's first id; takes `delay` for each token, and fails from its `failing`th batch on.
class FakeDevice : public Backend {
 public:
  FakeDevice(EngineKind engine, std::chrono::microseconds delay = {}) : delay_(delay) {
    info_ = {.engines = {engine},
             .precisions = {engine == EngineKind::kCpu ? Precision::kFp32 : Precision::kBf16},
             .kernel = "fake",
             .threads = 1,
             .max_length = 64};
  }
  const BackendInfo& info() const override { return info_; }
  Status forward(const Batch& batch, std::span<float> logits) override {
    if (entered != nullptr) ++*entered;
    while (entered != nullptr && *entered < meet) std::this_thread::yield();
    const std::lock_guard lock(mutex_);
    ++batches;
    last_tokens = batch.tokens();
    if (batches >= failing) return failure;
    std::this_thread::sleep_for(delay_ * batch.tokens());
    for (size_t i = 0; i < batch.size(); ++i) logits[i] = static_cast<float>(batch.ids[batch.offsets[i]]);
    return ok_status();
  }
  size_t batches = 0, failing = SIZE_MAX, last_tokens = 0;
  Status failure = absl::InternalError("lost");
  std::atomic<int>* entered = nullptr;  // of this and other devices: nobody goes on before there have been `meet`
  int meet = 0;
  void take_two() { info_.batches_in_flight = 2; }

 private:
  std::mutex mutex_;
  std::chrono::microseconds delay_;
  BackendInfo info_;
};

class DevicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loaded = model::load_model(testing::write_tiny_model({.layers = 3}, "devices_test"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model = *loaded;
    batch = testing::random_batch({5, 40, 17, 1, 60, 33, 8, 30, 12, 25, 3, 50},
                                  model->config.architecture.embedding.vocabulary, 1, 3);
  }
  std::vector<float> firsts() const {
    std::vector<float> all;
    for (size_t i = 0; i < batch.size(); ++i) all.push_back(static_cast<float>(batch.ids[batch.offsets[i]]));
    return all;
  }
  FakeDevice* add(std::vector<Device>& devices, const std::string& name, std::chrono::microseconds delay = {}) {
    auto device = std::make_unique<FakeDevice>(name == "1" ? EngineKind::kCpu : EngineKind::kCuda, delay);
    FakeDevice* const it = device.get();
    devices.push_back({name, std::move(device)});
    return it;
  }
  std::vector<float> run(Backend& backend) {
    std::vector<float> logits(batch.size());
    const Status status = backend.forward(batch, logits);
    EXPECT_TRUE(status.ok()) << status;
    return logits;
  }

  std::shared_ptr<const model::Model> model;
  OwnedBatch batch;
};

TEST_F(DevicesTest, EverySequenceIsComputedOnceAndAllDevicesWork) {
  std::vector<Device> devices;
  FakeDevice *one = add(devices, "0"), *two = add(devices, "1");
  const auto joined = join_devices(model, std::move(devices));
  EXPECT_EQ(joined->info().engine_text(), "cuda+cpu");
  EXPECT_EQ(joined->info().precision_text(), "bf16+fp32");
  EXPECT_EQ(joined->info().kernel, "0:fake, 1:fake");
  EXPECT_EQ(run(*joined), firsts());
  EXPECT_EQ(one->last_tokens + two->last_tokens, batch.tokens());
  EXPECT_NEAR(static_cast<double>(one->last_tokens), static_cast<double>(two->last_tokens), 30);
}

TEST_F(DevicesTest, TheFasterOneGetsMore) {
  std::vector<Device> devices;
  FakeDevice *slow = add(devices, "0", std::chrono::microseconds(1000)), *fast = add(devices, "1");
  const auto joined = join_devices(model, std::move(devices));
  EXPECT_EQ(run(*joined), firsts());
  slow->last_tokens = 0;  // the first time both were taken to be as fast
  EXPECT_EQ(run(*joined), firsts());
  EXPECT_GT(fast->last_tokens, slow->last_tokens);
}

TEST_F(DevicesTest, WhatOneFailsTheOthersDoAndItIsNotAskedAgain) {
  std::vector<Device> devices;
  FakeDevice *bad = add(devices, "0"), *good = add(devices, "1"), *other = add(devices, "2");
  bad->failing = 2;
  const auto joined = join_devices(model, std::move(devices));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(run(*joined), firsts()) << i;
  EXPECT_EQ(bad->batches, 2u);
  const auto states = joined->devices();
  ASSERT_EQ(states.size(), 3u);
  EXPECT_EQ(states[0]->name, "0");
  EXPECT_FALSE(states[0]->up);
  EXPECT_TRUE(states[1]->up && states[2]->up);
  EXPECT_GE(good->batches + other->batches, 8u);
}

TEST_F(DevicesTest, TheLastOneStaysAndSaysWhatFailed) {
  std::vector<Device> devices;
  FakeDevice *one = add(devices, "0"), *two = add(devices, "1");
  one->failing = 1;
  two->failing = 1;
  const auto joined = join_devices(model, std::move(devices));
  std::vector<float> logits(batch.size());
  EXPECT_THAT(std::string(joined->forward(batch, logits).message()), HasSubstr("lost"));
  one->failing = two->failing = SIZE_MAX;
  EXPECT_EQ(run(*joined), firsts());
}

TEST_F(DevicesTest, WantOfMemoryFailsABatchAndTakesNobodyOut) {
  std::vector<Device> devices;
  FakeDevice* full = add(devices, "0");
  add(devices, "1");
  full->failing = 1;
  full->failure = absl::ResourceExhaustedError("full");
  const auto joined = join_devices(model, std::move(devices));
  std::vector<float> logits(batch.size());
  EXPECT_TRUE(absl::IsResourceExhausted(joined->forward(batch, logits)));
  full->failing = SIZE_MAX;
  EXPECT_EQ(run(*joined), firsts());
  EXPECT_EQ(full->batches, 2u);
}

TEST_F(DevicesTest, TwoBatchesAreInFlightWhereADeviceTakesTwo) {
  std::vector<Device> devices;
  FakeDevice *one = add(devices, "0"), *two = add(devices, "1"), *slow = add(devices, "2");
  one->take_two();
  two->take_two();
  std::atomic<int> entered = 0;
  one->entered = two->entered = &entered;
  one->meet = two->meet = 4;  // both batches, on both of them
  const auto joined = join_devices(model, std::move(devices));
  EXPECT_EQ(joined->info().batches_in_flight, 2u);
  auto other = std::async(std::launch::async, [&] { return run(*joined); });
  EXPECT_EQ(run(*joined), firsts());
  EXPECT_EQ(other.get(), firsts());
  EXPECT_EQ(slow->batches, 2u);
}

TEST_F(DevicesTest, ADeviceThatFailsTwoBatchesIsTakenOutOnce) {
  for (int round = 0; round < 20; ++round) {
    std::vector<Device> devices;
    FakeDevice *good = add(devices, "0"), *bad = add(devices, "1");
    good->take_two();
    bad->take_two();
    std::atomic<int> entered = 0;
    bad->entered = &entered;
    bad->meet = 2;
    bad->failing = 1;
    const auto joined = join_devices(model, std::move(devices));
    auto other = std::async(std::launch::async, [&] { return run(*joined); });
    EXPECT_EQ(run(*joined), firsts());
    EXPECT_EQ(other.get(), firsts());
    EXPECT_TRUE(joined->devices()[0]->up);
    EXPECT_FALSE(joined->devices()[1]->up);
  }
}

TEST_F(DevicesTest, ABadBatchIsNobodysFault) {
  std::vector<Device> devices;
  FakeDevice* one = add(devices, "0");
  const auto joined = join_devices(model, std::move(devices));
  std::vector<float> logits(batch.size());
  batch.ids[3] = -1;
  EXPECT_EQ(joined->forward(batch, logits).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(one->batches, 0u);
}

// Two CPU engines: depths asked for, and contests that are shared out, end as on one.
TEST_F(DevicesTest, DepthsAndContestsAreThoseOfOneDevice) {
  model::Exits exits;
  std::mt19937 random(2);
  for (int layer = 0; layer < 2; ++layer) {
    model::ExitHead head;
    head.error = 0.05f;
    for (int i = 0; i < 3 * 32; ++i) head.weights.push_back(static_cast<float>(random() % 200) / 100 - 1);
    exits.heads.push_back(head);
  }
  BackendOptions options{
      .precision = Precision::kFp32, .threads = 1, .exits = std::make_shared<const model::Exits>(exits)};
  const auto cpu = [&] { return std::move(*make_cpu_backend(model, options)); };
  std::vector<Device> devices;
  devices.push_back({"0", cpu()});
  devices.push_back({"1", cpu()});
  const auto one = cpu(), joined = join_devices(model, std::move(devices));
  const std::vector<uint8_t> layers = {2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  Batch mixed = batch;
  mixed.layers = layers;
  std::vector<float> full(12), logits(12);
  std::vector<uint8_t> depths(12, 9);
  ASSERT_TRUE(one->forward(mixed, full).ok());
  ASSERT_TRUE(joined->forward(mixed, logits).ok());
  EXPECT_EQ(logits, full);
  const std::vector<Contest> contests = {{2, 10, 2, 1.0f}};
  ASSERT_TRUE(joined->forward_contests(mixed, contests, logits, depths).ok());
  EXPECT_EQ(depths[0], 2);
  EXPECT_EQ(depths[1], 1);
  size_t stayed = 0;
  for (size_t i = 2; i < 12; ++i) {
    if (depths[i] != 0) continue;
    EXPECT_EQ(logits[i], full[i]) << i;
    ++stayed;
  }
  EXPECT_GE(stayed, 2u);
  EXPECT_LT(stayed, 10u);
}

// Of a model that makes vectors each sequence has as many as it has marked tokens, or none.
TEST_F(DevicesTest, VectorsAreThoseOfOneDevice) {
  auto loaded = model::load_model(testing::list_model("jina-v3-a"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const model::Architecture& a = (*loaded)->architecture();
  auto lists = testing::random_batch({40, 9, 33, 5, 21}, a.embedding.vocabulary, 1, 3);
  const auto mark = static_cast<int32_t>(a.scoring.marks->document_id),
             query = static_cast<int32_t>(a.scoring.marks->query_id);
  for (int32_t& id : lists.ids) id = id == mark || id == query ? 0 : id;
  for (const uint32_t row : {3, 8, 39, 51, 60, 107}) lists.ids[row] = mark;  // of the second and the fourth: none
  const BackendOptions options{.precision = Precision::kFp32, .threads = 1};
  const auto cpu = [&] { return std::move(*make_cpu_backend(*loaded, options)); };
  std::vector<Device> devices;
  devices.push_back({"0", cpu()});
  devices.push_back({"1", cpu()});
  const auto one = cpu(), joined = join_devices(*loaded, std::move(devices));
  std::vector<float> expected(6 * a.scoring.labels), found(expected.size());
  ASSERT_TRUE(one->forward(lists, expected).ok());
  ASSERT_TRUE(joined->forward(lists, found).ok());
  EXPECT_EQ(found, expected);
  EXPECT_NE(found[0], 0.0f);
}

TEST_F(DevicesTest, NamesAreReadAndMistakesNamed) {
  EXPECT_THAT(*parse_devices("cpu,0,12"), ::testing::ElementsAre("cpu", "0", "12"));
  for (const char* wrong : {"", "gpu", "0,", "0,0", "-1", "01", "0 ", "4294967296"}) {
    EXPECT_THAT(std::string(parse_devices(wrong).status().message()), HasSubstr("--devices")) << wrong;
  }
}

TEST_F(DevicesTest, TheRegistryOpensThemByName) {
  BackendOptions options{.precision = Precision::kAuto, .threads = 1};
  options.devices = "cpu";
  auto opened = open_backend(model, EngineKind::kAuto, options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->info().engine_text(), "cpu");
  EXPECT_EQ(open_backend(model, EngineKind::kOnnx, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.devices = "cpu,99";
  EXPECT_THAT(std::string(open_backend(model, EngineKind::kAuto, options).status().message()), HasSubstr("device 99"));
}

}  // namespace
}  // namespace rerank::engine
