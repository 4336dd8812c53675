// Two batches in flight: the second is copied in and queued while the first is computed, and neither notices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "base/metrics.h"
#include "engine/cuda/model_spec.h"
#include "engine/registry.h"
#include "schedule/scheduler.h"
#include "support.h"

namespace rerank {
namespace {

using emulation::Order;

class CudaInFlightTest : public ::testing::TestWithParam<Order> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam();
    model =
        load(testing::write_tiny_model({.layers = 2, .hidden = 64, .heads = 2, .positions = 128}, "cuda_in_flight"));
    small = random_batch(model->config, {5, 40, 17});
    large = random_batch(model->config, {64, 1, 30, 65, 17, 3});
    for (const engine::OwnedBatch* batch : {&small, &large}) expected[batch] = run(*open(model, {}), batch->view());
  }
  void TearDown() override { emulation::settings() = {}; }

  std::shared_ptr<const model::Model> model;
  engine::OwnedBatch small, large;
  std::map<const engine::OwnedBatch*, std::vector<float>> expected;
};

INSTANTIATE_TEST_SUITE_P(Orders, CudaInFlightTest, ::testing::Values(Order::kLate, Order::kEarly, Order::kCopiesLate),
                         [](const auto& info) {
                           return info.param == Order::kLate    ? "late"
                                  : info.param == Order::kEarly ? "early"
                                                                : "copies_late";
                         });

// The library by itself, so that the order of calls is the test's.
class Library {
 public:
  explicit Library(const model::Model& model) {
    const engine::CudaModelSpec spec(model);
    EXPECT_EQ(plugin_.open(spec.get(), engine::cuda::Type::kBf16, 0, &engine_, error_, sizeof error_),
              engine::cuda::Code::kOk)
        << error_;
  }
  ~Library() { plugin_.close(engine_); }

  engine::cuda::Code launch(uint32_t slot, const engine::OwnedBatch& batch) {
    const std::vector<uint32_t> queries(batch.view().size(), 1);
    const engine::cuda::BatchSpec spec{.ids = batch.ids.data(),
                                       .segments = batch.segments.data(),
                                       .offsets = batch.offsets.data(),
                                       .queries = queries.data(),
                                       .sequences = static_cast<uint32_t>(queries.size())};
    const engine::cuda::Code code = plugin_.start(engine_, slot, spec, error_, sizeof error_);
    return code == engine::cuda::Code::kOk ? plugin_.launch(engine_, 2, error_, sizeof error_) : code;
  }
  // Empty where it fails.
  std::vector<float> finish(uint32_t slot, const engine::OwnedBatch& batch) {
    std::vector<float> logits(batch.view().size());
    if (plugin_.finish(engine_, slot, logits.data(), error_, sizeof error_) != engine::cuda::Code::kOk) return {};
    return logits;
  }

 private:
  const engine::cuda::Plugin& plugin_ = *rerank_cuda_plugin();
  engine::cuda::Engine* engine_ = nullptr;
  char error_[512] = "";
};

// Buffers grow under the first; either is finished first.
TEST_P(CudaInFlightTest, BothHaveTheirScores) {
  for (const uint32_t finished_first : {0u, 1u}) {
    Library library(*model);
    for (const auto& [a, b] : {std::pair{&small, &small}, {&small, &large}, {&large, &small}, {&large, &large}}) {
      for (int round = 0; round < 3; ++round) {  // plainly, recorded, as a graph
        const engine::OwnedBatch* const batches[] = {a, b};
        ASSERT_EQ(library.launch(0, *a), engine::cuda::Code::kOk);
        ASSERT_EQ(library.launch(1, *b), engine::cuda::Code::kOk);
        for (const uint32_t slot : {finished_first, 1 - finished_first})
          EXPECT_EQ(library.finish(slot, *batches[slot]), expected[batches[slot]]) << slot << " " << round;
      }
    }
  }
}

// A queue that is never empty: when one is finished the next takes its slot, after the one that is computed.
TEST_P(CudaInFlightTest, OneAfterAnotherTakesTheSlotThatIsFree) {
  Library library(*model);
  ASSERT_EQ(library.launch(0, small), engine::cuda::Code::kOk);
  for (uint32_t i = 0; i < 12; ++i) {
    const auto batch = [&](uint32_t n) -> const engine::OwnedBatch& { return n % 3 == 0 ? small : large; };
    ASSERT_EQ(library.launch((i + 1) % 2, batch(i + 1)), engine::cuda::Code::kOk);
    EXPECT_EQ(library.finish(i % 2, batch(i)), expected[&batch(i)]) << i;
  }
}

TEST_P(CudaInFlightTest, WantOfMemoryForOneLeavesTheOther) {
  Library library(*model);
  for (int n = 0; n < 8; ++n) {
    ASSERT_EQ(library.launch(0, small), engine::cuda::Code::kOk);
    emulation::settings().allocations_to_failure = n;
    const engine::cuda::Code code = library.launch(1, large);
    const bool failed = emulation::settings().allocations_to_failure < 0;
    emulation::settings().allocations_to_failure = -1;
    EXPECT_EQ(code, failed ? engine::cuda::Code::kOutOfMemory : engine::cuda::Code::kOk) << n;
    EXPECT_EQ(library.finish(0, small), expected[&small]) << n;
    if (failed) continue;
    EXPECT_EQ(library.finish(1, large), expected[&large]) << n;
  }
  ASSERT_EQ(library.launch(1, large), engine::cuda::Code::kOk);
  EXPECT_EQ(library.finish(1, large), expected[&large]);
}

TEST_P(CudaInFlightTest, AFailingCallOfOneLeavesTheOther) {
  Library library(*model);
  size_t failures = 0;
  for (int n = 0;; n += 3) {
    ASSERT_EQ(library.launch(0, small), engine::cuda::Code::kOk);
    emulation::settings().calls_to_failure = n;
    const engine::cuda::Code code = library.launch(1, large);
    const bool all_calls_made = emulation::settings().calls_to_failure >= 0;
    emulation::settings().calls_to_failure = -1;
    EXPECT_EQ(library.finish(0, small), expected[&small]) << n;
    if (code != engine::cuda::Code::kOk) {
      ++failures;
      continue;
    }
    EXPECT_EQ(library.finish(1, large), expected[&large]) << n;  // what cannot be recorded is launched plainly
    if (all_calls_made) break;
  }
  EXPECT_GT(failures, 3u);
  // The wait for one fails.
  for (const uint32_t bad : {0u, 1u}) {
    ASSERT_EQ(library.launch(0, small), engine::cuda::Code::kOk);
    ASSERT_EQ(library.launch(1, large), engine::cuda::Code::kOk);
    emulation::settings().calls_to_failure = 0;
    EXPECT_THAT(library.finish(bad, small), ::testing::IsEmpty());
    EXPECT_EQ(library.finish(1 - bad, bad == 0 ? large : small), expected[bad == 0 ? &large : &small]);
  }
}

// Two threads, as the scheduler has them: each waits for its batch only when both have been launched.
TEST_P(CudaInFlightTest, TheBackendWaitsForOneWhileTheOtherIsLaunched) {
  const auto backend = open(model, {});
  EXPECT_EQ(backend->info().batches_in_flight, 2u);
  EXPECT_EQ(open(model, {.cuda_overlap = false})->info().batches_in_flight, 1u);
  EXPECT_EQ(run(*backend, large.view()), expected[&large]);  // buffers are large enough, products are tuned
  std::atomic<int> waiting = 0;
  std::atomic<bool> alone = false;
  emulation::settings().before_waiting = [&] {
    ++waiting;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (waiting < 2 && !alone) {
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() > give_up) alone = true;
    }
  };
  auto other = std::async(std::launch::async, [&] { return run(*backend, small.view()); });
  EXPECT_EQ(run(*backend, large.view()), expected[&large]);
  EXPECT_EQ(other.get(), expected[&small]);
  EXPECT_FALSE(alone);
}

// Contests, exits, and batches that do not fit in one piece, all at the same time.
TEST_P(CudaInFlightTest, WhateverTwoThreadsComputeIsTheirs) {
  model::Exits exits;
  exits.heads.push_back({std::vector<float>(3 * 64, 0.1f), 0, 0.02f});
  const engine::BackendOptions options{.exits = std::make_shared<const model::Exits>(exits)};
  const auto alone = open(model, options), backend = open(model, options);
  const auto size = static_cast<uint32_t>(large.view().size());
  const std::vector<engine::Contest> contests = {{0, size, 2, 0.5f}};
  const std::vector<uint8_t> shallow(size, 1);
  const auto contest = [&](engine::Backend& engine) {
    std::pair<std::vector<float>, std::vector<uint8_t>> found{std::vector<float>(size), std::vector<uint8_t>(size)};
    EXPECT_TRUE(engine.forward_contests(large.view(), contests, found.first, found.second).ok());
    return found;
  };
  engine::Batch with_exits = large.view();
  with_exits.layers = shallow;
  const auto winners = contest(*alone);
  const auto guesses = run(*alone, with_exits);
  emulation::settings().memory = emulation::allocated() + 300 * 1024;  // less than the larger batch takes
  auto other = std::async(std::launch::async, [&] {
    for (int round = 0; round < 4; ++round) {
      EXPECT_EQ(run(*backend, small.view()), expected[&small]) << round;
      EXPECT_EQ(run(*backend, large.view()), expected[&large]) << round;
    }
  });
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(run(*backend, large.view()), expected[&large]) << round;
    EXPECT_EQ(run(*backend, with_exits), guesses) << round;
    const auto found = contest(*backend);
    for (uint32_t i = 0; i < size; ++i)  // in pieces there is no contest
      EXPECT_EQ(found.first[i], found.second[i] == 0 ? expected[&large][i] : winners.first[i]) << i;
  }
  other.get();
}

// Through the scheduler, over one device and over two of which one is lost on the way.
TEST_P(CudaInFlightTest, TheSchedulerHasEveryAnswerRight) {
  for (const std::string devices : {"0", "0,1"}) {
    emulation::settings().devices = 2;
    engine::BackendOptions options;
    options.devices = devices;
    const auto backend = engine::open_backend(model, EngineKind::kCuda, options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    Metrics metrics;
    std::atomic<int> right = 0, ended = 0;
    constexpr int kJobs = 14;
    {
      schedule::Scheduler scheduler(**backend, {.max_batch_tokens = 200}, &metrics);
      for (int i = 0; i < kJobs; ++i) {
        const engine::OwnedBatch& batch = i % 3 == 0 ? large : small;
        auto job = std::make_unique<schedule::Job>();
        job->pairs = batch;
        job->share = false;
        job->done = [&, logits = expected[&batch]](schedule::Job& done, const Status& status) {
          EXPECT_TRUE(status.ok()) << status;
          right += done.logits == logits;
          ++ended;
        };
        scheduler.submit(std::move(job));
        if (devices == "0,1" && i == kJobs / 2) emulation::settings().failed_device = 1;
      }
    }
    EXPECT_EQ(ended, kJobs);
    EXPECT_EQ(right, kJobs);
    emulation::settings().failed_device = -1;
  }
}

}  // namespace
}  // namespace rerank
