// Long sequences go through a block some tokens at a time: scores are the same, bit for bit, wherever chunks end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <random>
#include <thread>

#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/vector/kernels.h"
#include "support/tiers.h"

namespace rerank::engine {
namespace {

std::shared_ptr<model::Model> load(const char* name) {
  auto model = model::load_model(str_cat(RERANKD_SOURCE_DIR, "/tests/data/decoders/", name));
  EXPECT_TRUE(model.ok()) << model.status();
  return std::make_shared<model::Model>(**model);
}

std::unique_ptr<Backend> open(const std::shared_ptr<const model::Model>& model, const cpu::KernelTable& tier,
                              size_t threads, size_t chunk_tokens, size_t prefix_bytes = 0) {
  auto backend = make_cpu_backend(model, {.precision = tier.precision,
                                          .kernel = tier.tier,
                                          .threads = threads,
                                          .prefix_bytes = prefix_bytes,
                                          .chunk_tokens = chunk_tokens});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return std::move(*backend);
}

std::vector<float> logits_of(Backend& backend, const Batch& batch) {
  std::vector<float> logits(batch.size());
  const Status status = backend.forward(batch, logits);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

// Sequences of these lengths, every other one after the same `shared` tokens.
OwnedBatch batch_of(const model::Architecture& a, const std::vector<size_t>& lengths, size_t shared, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> begin(shared);
  const auto some = [&] { return static_cast<int32_t>(random() % a.embedding.vocabulary); };
  for (int32_t& id : begin) id = some();
  OwnedBatch batch;
  for (size_t i = 0; i < lengths.size(); ++i) {
    std::vector<int32_t> ids = i % 2 == 0 ? begin : std::vector<int32_t>();
    while (ids.size() < lengths[i]) ids.push_back(some());
    ids.resize(lengths[i]);
    batch.add(ids);
  }
  return batch;
}

// Of grouped heads, windows, softcaps, norms of sums, experts, and outputs after layers.
TEST(ChunkTest, WhereChunksEndChangesNoScore) {
  const std::vector<size_t> lengths = {192, 33, 190, 1, 191, 64, 150, 17};
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    const bool fast = testing::is_fast_vector_tier(*tier);
    std::vector<const char*> names = {"qwen3-b", "gemma2-a"};
    if (fast) names.insert(names.end(), {"qwen2-b", "llama-a", "minicpm-a", "qwen3moe-a"});
    for (const char* name : names) {
      const auto model = load(name);
      OwnedBatch batch = batch_of(model->architecture(), lengths, 100, 1);
      const auto whole = open(model, *tier, 1, SIZE_MAX);
      const auto expected = logits_of(*whole, batch);
      for (const size_t chunk : fast ? std::vector<size_t>{5, 16, 100, 191} : std::vector<size_t>{31}) {
        for (const size_t prefix_bytes : {size_t{0}, size_t{1} << 20}) {
          const auto chunked = open(model, *tier, chunk % 2 + 1, chunk, prefix_bytes);
          EXPECT_EQ(logits_of(*chunked, batch), expected) << name << " " << word_of(tier->tier) << " " << chunk;
          if (prefix_bytes != 0) {  // again, with what was kept
            EXPECT_EQ(logits_of(*chunked, batch), expected) << name << " " << word_of(tier->tier) << " " << chunk;
            EXPECT_GT(chunked->prefix_counters()->shared_tokens, 0u);
          }
        }
      }
      for (size_t s = 0; s < batch.size(); ++s)
        batch.layers.push_back(static_cast<uint8_t>(model->architecture().layers() - s % 2));
      EXPECT_EQ(logits_of(*open(model, *tier, 2, 31), batch), logits_of(*whole, batch))
          << name << " " << word_of(tier->tier);
    }
  }
}

const cpu::KernelTable& best_tier() {
  const cpu::KernelTable* best = nullptr;
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    if (best == nullptr && tier->precision == Precision::kBf16) best = tier;
  }
  return best != nullptr ? *best : *cpu::compiled_kernels().back();
}

// As users have it, around the ends of its chunks; a prefix of more than one of them.
TEST(ChunkTest, LongSequencesOfTheUsualChunks) {
  for (const char* name : {"qwen3-b", "gemma2-a"}) {
    const auto model = load(name);
    model->config.architecture.max_length = 3100;
    const auto& tier = best_tier();
    const size_t usual = BackendOptions().chunk_tokens;
    const auto whole = open(model, tier, 2, SIZE_MAX), chunked = open(model, tier, 2, usual),
               shared = open(model, tier, 2, usual, size_t{64} << 20);
    for (const size_t length : {usual - 1, usual, usual + 1, 2 * usual, 2 * usual + 1, 3 * usual + 20}) {
      const OwnedBatch batch = batch_of(model->architecture(), {length, 40, length}, length * 3 / 4, 2);
      const auto expected = logits_of(*whole, batch);
      EXPECT_EQ(logits_of(*chunked, batch), expected) << name << " " << length;
      EXPECT_EQ(logits_of(*shared, batch), expected) << name << " " << length;
    }
    EXPECT_GT(shared->prefix_counters()->shared_tokens, 3 * usual);
  }
}

// Between chunks and layers of long sequences, and of what is kept for others, batches are computed with the same
// backend; one of them is interrupted itself. All have the scores that they have alone.
TEST(ChunkTest, OtherBatchesAreComputedInTheMidstOfALongOne) {
  const auto model = load("qwen3-b");
  model->config.architecture.max_length = 3100;
  for (const size_t threads : {1, 2}) {
    for (const size_t prefix_bytes : {size_t{0}, size_t{64} << 20}) {
      const auto backend = open(model, best_tier(), threads, 256, prefix_bytes);
      const auto alone = open(model, best_tier(), 2, SIZE_MAX);
      OwnedBatch outer = batch_of(model->architecture(), {3000}, 0, 5),
                 middle = batch_of(model->architecture(), {700}, 0, 6),
                 inner = batch_of(model->architecture(), {40, 30, 90}, 20, 7);
      outer.shared_tokens = {2000};
      const auto expected_outer = logits_of(*alone, outer), expected_middle = logits_of(*alone, middle),
                 expected_inner = logits_of(*alone, inner);
      size_t calls = 0, of_middle = 0;
      const std::function<void()> in_middle = [&] {
        ++of_middle;
        EXPECT_EQ(logits_of(*backend, inner), expected_inner);
      };
      const std::function<void()> in_outer = [&] {
        if (++calls % 4 == 0) {
          EXPECT_EQ(logits_of(*backend, inner), expected_inner);
        }
        if (calls != 10) return;
        Batch interrupted = middle;
        interrupted.between = &in_middle;
        EXPECT_EQ(logits_of(*backend, interrupted), expected_middle);
      };
      Batch interrupted = outer;
      interrupted.between = &in_outer;
      for (int round = 0; round < 2; ++round) EXPECT_EQ(logits_of(*backend, interrupted), expected_outer);
      EXPECT_GT(calls, 2 * 10u);
      EXPECT_GT(of_middle, 3u);
    }
  }
}

// Encoders and tiles are interrupted between layers.
TEST(ChunkTest, EveryTierIsInterruptedBetweenLayers) {
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty()) continue;
    auto model = model::load_model(RERANKD_SOURCE_DIR "/tests/data/models/bert-a");
    ASSERT_TRUE(model.ok()) << model.status();
    const auto backend = open(*model, *tier, 2, 1024);
    const OwnedBatch outer = batch_of((*model)->architecture(), {400}, 0, 5),
                     inner = batch_of((*model)->architecture(), {40, 30, 90}, 20, 7);
    const auto expected_outer = logits_of(*backend, outer), expected_inner = logits_of(*backend, inner);
    size_t calls = 0;
    const std::function<void()> between = [&] {
      ++calls;
      EXPECT_EQ(logits_of(*backend, inner), expected_inner) << word_of(tier->tier);
    };
    Batch interrupted = outer;
    interrupted.between = &between;
    EXPECT_EQ(logits_of(*backend, interrupted), expected_outer) << word_of(tier->tier);
    EXPECT_EQ(calls, (*model)->architecture().layers() - 1);
  }
}

// Whenever it is stopped, it ends, and the next batch's scores are right.
TEST(ChunkTest, StopsBetweenChunks) {
  const auto model = load("qwen3-b");
  model->config.architecture.max_length = 3100;
  const auto backend = open(model, best_tier(), 2, 64, size_t{64} << 20);
  const OwnedBatch batch = batch_of(model->architecture(), {3000, 3000}, 2000, 3);
  const auto expected = logits_of(*open(model, best_tier(), 2, SIZE_MAX), batch);
  size_t cancelled = 0;
  for (int i = 0; i < 12; ++i) {
    std::atomic<bool> stop = i == 0;
    std::vector<float> found(2);
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      stop = true;
    });
    const Status status = backend->forward(batch.view(&stop), found);
    stopper.join();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    cancelled += absl::IsCancelled(status);
  }
  EXPECT_GE(cancelled, 1u);
  EXPECT_EQ(logits_of(*backend, batch), expected);
}

}  // namespace
}  // namespace rerank::engine
