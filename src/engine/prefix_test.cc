// Sequences that begin alike: what is planned, and that scores are the same, bit for bit, whether it is shared or not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/strings.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/kept_keys.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/prefix_plan.h"
#include "support/tiers.h"

namespace rerank::engine {
namespace {

using ::testing::ElementsAre;

using Ids = std::vector<int32_t>;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kSlowdown = 10;
#else
constexpr size_t kSlowdown = 1;
#endif

OwnedBatch batch_of(const std::vector<Ids>& sequences) {
  OwnedBatch batch;
  for (const Ids& ids : sequences) batch.add(ids);
  return batch;
}

TEST(PrefixPlanTest, PartsFollowOneAnother) {
  // A template (1 1), two queries, documents; the second query's first document is a beginning of its second.
  const OwnedBatch batch = batch_of({{1, 1, 2, 2, 7}, {1, 1, 3, 3}, {1, 1, 2, 2, 8, 8}, {1, 1, 3, 3, 9}});
  const PrefixPlan plan = plan_prefixes(batch, {.least_saved = 1});
  ASSERT_EQ(plan.parts.size(), 3u);
  EXPECT_EQ(plan.parts[0].begin, 0u);
  EXPECT_EQ(plan.parts[0].end, 2u);
  for (size_t i : {1, 2}) {
    EXPECT_EQ(plan.parts[i].parent, 0u);
    EXPECT_EQ(plan.parts[i].begin, 2u);
  }
  EXPECT_EQ(plan.own_begin(0), 4u);
  EXPECT_EQ(plan.own_begin(1), 3u) << "its last token stays its own";
  EXPECT_EQ(plan.own_begin(2), 4u);
  EXPECT_EQ(plan.own_begin(3), 3u);
  EXPECT_EQ(plan.saved, 3 * 2 + 2 + 1u);
}

TEST(PrefixPlanTest, WhatSavesLittleOrNeedsTooMuchIsNotShared) {
  const OwnedBatch batch = batch_of({{1, 2, 3, 4, 5}, {1, 2, 3, 4, 6}, {1, 2, 9}});
  EXPECT_TRUE(plan_prefixes(batch, {.least_saved = 5}).parts.empty());
  const PrefixPlan little = plan_prefixes(batch, {.least_saved = 4});
  ASSERT_EQ(little.parts.size(), 1u);
  EXPECT_EQ(little.parts[0].end, 2u) << "of all three";
  EXPECT_TRUE(plan_prefixes(batch, {.least_saved = 1, .most_tokens = 1}).parts.empty());
  EXPECT_EQ(plan_prefixes(batch, {.least_saved = 1, .levels = 1}).parts.size(), 1u);
  EXPECT_TRUE(plan_prefixes(batch_of({{1, 2, 3}}), {.least_saved = 1}).parts.empty());
  EXPECT_TRUE(plan_prefixes(batch_of({{1}, {1}, {1}}), {.least_saved = 1}).parts.empty());
}

TEST(PrefixPlanTest, WhatOtherBatchesShareIsAPartWhereItIsKept) {
  Ids first(40, 1), other(40, 2);
  first.back() = 7;
  OwnedBatch batch = batch_of({first, other, Ids(20, 3)});
  batch.shared_tokens = {30, 0, 50};
  EXPECT_TRUE(plan_prefixes(batch, {}).parts.empty());
  const PrefixPlan plan = plan_prefixes(batch, {.for_others = true});
  ASSERT_EQ(plan.parts.size(), 2u);
  EXPECT_EQ(plan.own_begin(0), 30u);
  EXPECT_EQ(plan.own_begin(1), 0u);
  EXPECT_EQ(plan.own_begin(2), 19u) << "its last token stays its own";
  EXPECT_EQ(plan.saved, 0u) << "in this batch";
  EXPECT_EQ(plan_prefixes(batch, {.most_tokens = 35, .for_others = true}).parts.size(), 1u);
  batch = batch_of({first, first, other});
  batch.shared_tokens = {24, 30, 30};
  const PrefixPlan one = plan_prefixes(batch, {.least_saved = 100, .for_others = true});
  ASSERT_EQ(one.parts.size(), 2u) << "what two begin with is computed once";
  EXPECT_EQ(one.own_begin(0), 24u);
  EXPECT_EQ(one.own_begin(1), 24u);
  EXPECT_EQ(one.saved, 24u);
  batch.shared_tokens = {8, 0, 0};
  EXPECT_TRUE(plan_prefixes(batch, {.for_others = true}).parts.empty()) << "too few for a pass of their own";
}

TEST(PrefixStoreTest, StaysWithinItsBoundAndKeepsWhatIsUsed) {
  const auto keys = [](size_t tokens) { return std::make_shared<cpu::KeptKeys>(1, tokens, 4); };
  const size_t ten = cpu::KeptKeys::bytes_of(1, 10, 4);
  cpu::PrefixStore store(3 * ten);
  const auto ids = [](int32_t first, size_t count) {
    Ids ids(count, 5);
    ids[0] = first;
    return ids;
  };
  for (int32_t i = 0; i < 3; ++i) store.add(ids(i, 10), {{keys(10), 10}});
  EXPECT_EQ(store.bytes(), 3 * ten);
  EXPECT_EQ(cpu::tokens_of(store.find(ids(0, 12))), 10u);
  EXPECT_EQ(cpu::tokens_of(store.find(ids(1, 9))), 9u) << "the beginning of what is kept";
  EXPECT_TRUE(store.find(ids(1, 7)).empty());
  store.add(ids(3, 10), {{keys(10), 10}});
  EXPECT_EQ(store.bytes(), 3 * ten);
  EXPECT_TRUE(store.find(ids(2, 10)).empty()) << "used longest ago";
  EXPECT_FALSE(store.find(ids(0, 10)).empty());
  const cpu::KeptChain gone = {{keys(10), 10}, {keys(10), 10}};
  store.add(ids(6, 20), gone);
  EXPECT_TRUE(store.find(ids(6, 20)).empty()) << "what it stands on is not there any more";
  store.add(ids(4, 40), {{keys(40), 40}});
  EXPECT_TRUE(store.find(ids(4, 40)).empty()) << "larger than the bound";
  for (int32_t i = 10; i < 100; ++i) store.add(ids(i, 10), {{keys(10), 10}});
  EXPECT_LE(store.bytes(), 3 * ten);
}

// Requests as users and attackers send them: documents that begin with one another or with the query, equal ones, empty
// ones (the own part is one token), one document; several queries behind one template.
class Requests {
 public:
  // How many there were of each.
  struct Kinds {
    size_t one_document = 0, empty_document = 0, begins_with_query = 0, begins_with_another = 0;
  };
  const Kinds& kinds() const { return kinds_; }

  Requests(const model::Architecture& a, uint64_t seed)
      : random_(seed), vocabulary_(a.embedding.vocabulary), limit_(a.max_length) {}

  OwnedBatch next() {
    if (one_in(8) || begin_.empty()) begin_ = some(below(limit_ / 2));
    std::vector<Ids> sequences;
    for (size_t query = 0; query <= below(3); ++query) {
      const Ids asked = some(below(limit_ / 3)), with_query = joined(begin_, asked);
      const size_t documents = 1 + below(6);
      for (size_t i = 0; i < documents; ++i) {
        const bool another = !sequences.empty() && one_in(4), query_again = one_in(8), empty = one_in(5);
        const Ids& before = another ? sequences[below(sequences.size())] : with_query;
        Ids ids = query_again ? joined(before, asked) : before;
        ids = joined(ids, empty ? Ids() : some(1 + below(24)));
        kinds_.begins_with_another += another;
        kinds_.begins_with_query += query_again && !asked.empty();
        kinds_.empty_document += empty && !query_again;
        if (!ids.empty() && one_in(6)) ids.resize(1 + below(ids.size()));
        if (ids.empty()) ids = some(1);
        ids.resize(std::min(ids.size(), limit_));
        sequences.push_back(std::move(ids));
      }
    }
    kinds_.one_document += sequences.size() == 1;
    std::shuffle(sequences.begin(), sequences.end(), random_);
    return batch_of(sequences);
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool one_in(size_t n) { return below(n) == 0; }
  Ids some(size_t count) {
    Ids ids(count);
    for (int32_t& id : ids) id = static_cast<int32_t>(below(vocabulary_));
    return ids;
  }
  static Ids joined(Ids a, const Ids& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }

  std::mt19937_64 random_;
  const size_t vocabulary_, limit_;
  Ids begin_;
  Kinds kinds_;
};

std::shared_ptr<const model::Model> load(const char* name) {
  auto model = model::load_model(str_cat(RERANKD_SOURCE_DIR, "/tests/data/decoders/", name));
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

std::unique_ptr<Backend> open(const std::shared_ptr<const model::Model>& model, const cpu::KernelTable& tier,
                              size_t prefix_bytes) {
  auto backend = make_cpu_backend(
      model, {.precision = tier.precision, .kernel = tier.tier, .threads = 2, .prefix_bytes = prefix_bytes});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return std::move(*backend);
}

void expect_equal_scores(const char* name, const cpu::KernelTable& tier, size_t requests, size_t prefix_bytes) {
  const auto model = load(name);
  const auto shared = open(model, tier, prefix_bytes), plain = open(model, tier, 0);
  Requests random(model->architecture(), 11);
  uint64_t tokens = 0;
  for (size_t i = 0; i < requests; ++i) {
    OwnedBatch batch = random.next();
    for (size_t s = 0; i % 2 == 0 && s < batch.size(); ++s)
      batch.shared_tokens.push_back(static_cast<uint32_t>(s * 7 % 90));
    tokens += batch.tokens();
    std::vector<float> found(batch.size()), expected(batch.size());
    ASSERT_TRUE(shared->forward(batch, found).ok());
    ASSERT_TRUE(plain->forward(batch, expected).ok());
    ASSERT_EQ(found, expected) << name << " " << word_of(tier.tier) << " " << word_of(tier.precision) << " request "
                               << i;
  }
  const PrefixCounters& counts = *shared->prefix_counters();
  EXPECT_EQ(counts.computed_tokens + counts.shared_tokens + counts.kept_tokens, tokens);
  EXPECT_GT(counts.shared_tokens, tokens / 20);
  EXPECT_GT(counts.kept_tokens, tokens / 50);
  EXPECT_LE(counts.kept_bytes, prefix_bytes);
  EXPECT_EQ(plain->prefix_counters(), nullptr);
  if (requests < 60) return;
  const Requests::Kinds& kinds = random.kinds();
  for (const size_t count :
       {kinds.one_document, kinds.empty_document, kinds.begins_with_query, kinds.begins_with_another})
    EXPECT_GT(count, 0u);
}

// RERANKD_SHARING_REQUESTS: how many requests each model and fast tier gets, instead of about `usual`. Ten thousand:
//   RERANKD_SHARING_REQUESTS=10000 build/release/src/engine/engine_test --gtest_filter='SharedPrefixTest.Scores*'
size_t requests_or(size_t usual) {
  const char* wanted = std::getenv("RERANKD_SHARING_REQUESTS");
  return wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : usual / kSlowdown + 10;
}

TEST(SharedPrefixTest, ScoresAreTheSameBitForBit) {
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    const bool fast = testing::is_fast_vector_tier(*tier);
    for (const char* name : {"qwen3-a", "qwen2-b"})
      expect_equal_scores(name, *tier, fast ? requests_or(560) : 30, size_t{1} << 20);
    expect_equal_scores("gemma2-a", *tier, fast ? requests_or(100) : 20, size_t{1} << 20);
    expect_equal_scores("llama-a", *tier, fast ? requests_or(100) : 20,
                        60'000);  // a store that holds hardly one beginning
  }
}

// Each depth computes its own blocks; what fewer blocks computed serves no other batch.
TEST(SharedPrefixTest, FewerLayersAreSharedToo) {
  const auto model = load("qwen3-b");
  const auto* tier = cpu::compiled_kernels().back();
  for (const auto* each : cpu::compiled_kernels())
    if (cpu::unsupported_reason(*each).empty() && each->tiles == nullptr) tier = each;
  const auto shared = open(model, *tier, size_t{1} << 20), plain = open(model, *tier, 0);
  Requests random(model->architecture(), 3);
  for (size_t i = 0; i < 60; ++i) {
    OwnedBatch batch = random.next();
    for (size_t s = 0; s < batch.size(); ++s) batch.layers.push_back(static_cast<uint8_t>((s + i) % 4));
    std::vector<float> found(batch.size()), expected(batch.size());
    ASSERT_TRUE(shared->forward(batch, found).ok());
    ASSERT_TRUE(plain->forward(batch, expected).ok());
    ASSERT_EQ(found, expected) << i;
  }
  EXPECT_GT(shared->prefix_counters()->shared_tokens, 0u);
}

// As a slow model's documents are computed: one in each batch. The first leaves behind what the others begin with.
TEST(SharedPrefixTest, DocumentsOfOneRequestInBatchesOfTheirOwnShareToo) {
  const auto model = load("qwen3-a");
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    const auto shared = open(model, *tier, size_t{1} << 20), plain = open(model, *tier, 0);
    for (int32_t document = 0; document < 6; ++document) {
      Ids ids(40, 5);
      ids.insert(ids.end(), {document, 9, document});
      OwnedBatch batch = batch_of({ids});
      batch.shared_tokens = {40};
      std::vector<float> found(1), expected(1);
      ASSERT_TRUE(shared->forward(batch, found).ok());
      ASSERT_TRUE(plain->forward(batch, expected).ok());
      EXPECT_EQ(found, expected) << word_of(tier->tier);
    }
    EXPECT_EQ(shared->prefix_counters()->computed_tokens, 40 + 6 * 3u);
    EXPECT_EQ(shared->prefix_counters()->kept_tokens, 5 * 40u);
  }
}

// As requests of one document come: each in a batch of its own, after the same template. The second one's template is
// kept, since it was seen before.
TEST(SharedPrefixTest, WhatIsSeenASecondTimeIsKept) {
  const auto model = load("qwen3-a");
  for (const auto* tier : cpu::compiled_kernels()) {
    if (!cpu::unsupported_reason(*tier).empty() || tier->tiles != nullptr) continue;
    const auto shared = open(model, *tier, size_t{1} << 20), plain = open(model, *tier, 0);
    const auto score = [&](const Ids& ids) {
      const OwnedBatch batch = batch_of({ids});
      std::vector<float> found(1), expected(1);
      ASSERT_TRUE(shared->forward(batch, found).ok());
      ASSERT_TRUE(plain->forward(batch, expected).ok());
      EXPECT_EQ(found, expected) << word_of(tier->tier);
    };
    for (int32_t document = 0; document < 6; ++document) {
      Ids ids(40, 5);
      ids.insert(ids.end(), {document, 9, document});
      score(ids);
      score(Ids(30, 50 + document));  // others' templates, seen once each
    }
    const PrefixCounters& counts = *shared->prefix_counters();
    EXPECT_EQ(counts.kept_tokens, 4 * 40u);
    EXPECT_EQ(counts.computed_tokens, 2 * 43 + 4 * 3 + 6 * 30u);
    EXPECT_EQ(counts.kept_bytes, cpu::KeptKeys::bytes_of(model->architecture().layers(), 40, 1) * 2 *
                                     model->architecture().blocks[0].attention.kv_heads *
                                     model->architecture().blocks[0].attention.head_size);
  }
}

TEST(SharedPrefixTest, BeginningsThatWereSeenAreBounded) {
  cpu::SeenBeginnings seen;
  EXPECT_EQ(seen.note(Ids(5000, 1)), 0u);
  EXPECT_EQ(seen.note(Ids(5000, 1)), cpu::SeenBeginnings::kMostTokens);
  EXPECT_EQ(seen.note({Ids{1, 1, 2}}), 2u);
  for (int32_t i = 0; i < 64; ++i) EXPECT_EQ(seen.note(Ids{10 + i, 2}), 0u);
  EXPECT_EQ(seen.note(Ids{1, 1}), 0u) << "seen longest ago";
  EXPECT_EQ(seen.note(Ids{73, 2, 5}), 2u);
}

// Whenever it is stopped: what is computed of a batch then is not kept for others.
TEST(SharedPrefixTest, AStoppedBatchLeavesNothingBehind) {
  const auto model = load("qwen3-a");
  const auto* tier = cpu::compiled_kernels().back();
  for (const auto* each : cpu::compiled_kernels())
    if (cpu::unsupported_reason(*each).empty() && each->tiles == nullptr) tier = each;
  const auto shared = open(model, *tier, size_t{1} << 20), plain = open(model, *tier, 0);
  Requests random(model->architecture(), 5);
  for (size_t i = 0; i < 60; ++i) {
    const OwnedBatch batch = random.next();
    std::vector<float> found(batch.size()), expected(batch.size());
    std::atomic<bool> stop = false;
    std::thread stopper([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(i * 25));
      stop = true;
    });
    const Status status = shared->forward(batch.view(&stop), found);
    stopper.join();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    ASSERT_TRUE(shared->forward(batch, found).ok());
    ASSERT_TRUE(plain->forward(batch, expected).ok());
    ASSERT_EQ(found, expected) << i;
  }
}

// Where tokens see those after them, nothing can be shared.
TEST(SharedPrefixTest, BidirectionalModelsShareNothing) {
  const auto model = load("nemotron-a");
  auto backend = make_cpu_backend(model, {.precision = Precision::kFp32, .threads = 1});
  ASSERT_TRUE(backend.ok());
  Ids ids(100, 3);
  const OwnedBatch batch = batch_of({ids, ids, ids});
  std::vector<float> logits(3);
  ASSERT_TRUE((*backend)->forward(batch, logits).ok());
  EXPECT_EQ((*backend)->prefix_counters(), nullptr);
}

}  // namespace
}  // namespace rerank::engine
