// What pairs begin with, kept on the device from one batch to the next: which tokens are kept in which slots, and that
// scores are the same, bit for bit, as where nothing is shared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <random>

#include "engine/cuda/host/kept_prefixes.h"
#include "engine/cuda/host/shared_batch.h"
#include "engine/cuda/plugin.h"
#include "support.h"

namespace rerank {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;

using Ids = std::vector<int32_t>;

Ids ids_of(int32_t first, size_t count) {
  Ids ids(count, 5);
  ids[0] = first;
  return ids;
}

TEST(KeptPrefixesTest, StaysWithinItsSlotsAndKeepsWhatIsUsed) {
  engine::KeptPrefixes kept(30);
  for (int32_t i = 0; i < 3; ++i) EXPECT_EQ(kept.add(ids_of(i, 10), {}).size(), 10u);
  EXPECT_EQ(kept.used(), 30u);
  EXPECT_THAT(kept.add(ids_of(3, 10), {}), IsEmpty()) << "all are of this batch";
  kept.begin_batch();
  const auto zero = kept.find(ids_of(0, 12));
  EXPECT_THAT(zero, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(kept.find(ids_of(1, 9)).size(), 9u) << "the beginning of what is kept";
  EXPECT_THAT(kept.find(ids_of(1, 7)), IsEmpty()) << "too few";
  EXPECT_THAT(kept.add(ids_of(0, 10), {}), IsEmpty()) << "it is there";
  EXPECT_THAT(kept.add(ids_of(3, 10), {}), Each(Ge(20u))) << "in the place of the one that this batch has not used";
  kept.begin_batch();
  EXPECT_THAT(kept.find(ids_of(2, 10)), IsEmpty());
  EXPECT_THAT(kept.add(ids_of(4, 31), {}), IsEmpty()) << "more than there is";
  // What begins with the first one's tokens has their slots, which stay as long as it does.
  kept.begin_batch();
  Ids longer = ids_of(0, 10);
  longer.resize(18, 9);
  EXPECT_EQ(kept.add(longer, zero).size(), 8u);
  kept.begin_batch();
  for (int32_t i = 10; i < 13; ++i) kept.add(ids_of(i, 4), {});
  kept.begin_batch();
  EXPECT_EQ(kept.find(longer).size(), 18u);
  kept.clear();
  EXPECT_EQ(kept.used(), 0u);
  EXPECT_THAT(kept.find(longer), IsEmpty());
}

engine::OwnedBatch batch_of(const std::vector<Ids>& sequences, const std::vector<uint32_t>& shared = {}) {
  engine::OwnedBatch batch;
  for (const Ids& ids : sequences) batch.add(ids);
  batch.shared_tokens = shared;
  return batch;
}

Ids joined(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// Two requests behind one template: it comes once, each query once behind it, and a later batch computes no part again.
TEST(SharedBatchTest, PartsFollowOneAnotherAndComeOnceForAllBatches) {
  const Ids begin(70, 1), one = joined(begin, Ids(40, 2)), two = joined(begin, Ids(50, 3));
  const auto batch =
      batch_of({joined(one, {7}), joined(two, {7, 8}), joined(one, {8}), joined(two, {9}), joined(one, {9})});
  engine::KeptPrefixes kept(400);
  const auto first = engine::share_prefixes(batch, &kept);
  EXPECT_EQ(first.parts, 2u);
  EXPECT_EQ(first.saved, 4 * 70 + 2 * 40u) << "50 tokens once more are not worth a part";
  EXPECT_EQ(first.runs.tokens() + first.saved, batch.tokens());
  EXPECT_EQ(first.keep_slots.size(), first.keep_rows.size());
  EXPECT_EQ(first.kept, 0u);
  const auto again = engine::share_prefixes(batch, &kept);
  EXPECT_EQ(again.parts, 0u);
  EXPECT_EQ(again.kept + again.saved + again.runs.tokens(), batch.tokens());
  EXPECT_THAT(again.keep_rows, IsEmpty());
  for (const uint32_t row : again.prefix_rows) EXPECT_LT(row, 400u) << "slots alone";
  // For an earlier library: one part, as rows before the sequences.
  const auto plain = engine::share_first_prefixes(batch);
  EXPECT_EQ(plain.parts, 1u);
  EXPECT_THAT(plain.prefix_rows, IsEmpty());
  EXPECT_THAT(plain.behind, ElementsAre(0, 0, 0, 0, 0));
}

struct Case {
  Precision precision;
  emulation::Order order;
};

class CudaPrefixTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    emulation::settings() = {};
    emulation::settings().order = GetParam().order;
  }
  void TearDown() override { emulation::settings() = {}; }

  std::unique_ptr<engine::Backend> open_with(const char* name, size_t prefix_bytes) const {
    return open(load(std::string(RERANKD_SOURCE_DIR "/tests/data/decoders/") + name),
                {.precision = GetParam().precision, .prefix_bytes = prefix_bytes});
  }
};

INSTANTIATE_TEST_SUITE_P(Precisions, CudaPrefixTest,
                         ::testing::Values(Case{Precision::kFp32, emulation::Order::kLate},
                                           Case{Precision::kBf16, emulation::Order::kEarly},
                                           Case{Precision::kBf16, emulation::Order::kCopiesLate},
                                           Case{Precision::kFp8, emulation::Order::kLate}),
                         [](const auto& info) {
                           return std::string(word_of(info.param.precision)) + "_" +
                                  std::to_string(static_cast<int>(info.param.order));
                         });

// Requests of a server: some templates and queries that come again, documents in batches of their own or of several
// requests, with and without a word on what others share.
class Requests {
 public:
  Requests(const model::Architecture& a, uint64_t seed) : random_(seed), a_(a) {
    for (int i = 0; i < 2; ++i) templates_.push_back(some(12 + below(40)));
    for (int i = 0; i < 4; ++i) queries_.push_back(joined(templates_[below(2)], some(4 + below(40))));
  }
  engine::OwnedBatch next() {
    engine::OwnedBatch batch;
    for (size_t request = 0; request <= below(3); ++request) {
      if (below(5) == 0) queries_[below(4)] = joined(templates_[below(2)], some(4 + below(40)));
      const Ids& query = queries_[below(4)];
      for (size_t i = 0; i <= below(4); ++i) {
        Ids ids = joined(query, some(1 + below(20)));
        ids.resize(std::min(ids.size(), a_.max_length));
        batch.add(ids);
        batch.shared_tokens.push_back(below(3) == 0 ? 0 : static_cast<uint32_t>(query.size()));
      }
    }
    if (below(4) == 0) batch.shared_tokens.clear();
    return batch;
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  Ids some(size_t count) {
    Ids ids(count);
    for (int32_t& id : ids) id = static_cast<int32_t>(below(a_.embedding.vocabulary));
    return ids;
  }

  std::mt19937_64 random_;
  const model::Architecture& a_;
  std::vector<Ids> templates_, queries_;
};

TEST_P(CudaPrefixTest, ScoresAreTheSameBitForBit) {
  for (const auto& [name, bytes] : {std::pair{"qwen3-b", size_t{1} << 20},
                                    {"gemma2-a", size_t{1} << 20},
                                    {"llama-a", size_t{60'000}}}) {  // the last: hardly one beginning
    const auto kept = open_with(name, bytes), plain = open_with(name, 0);
    const auto model = load(std::string(RERANKD_SOURCE_DIR "/tests/data/decoders/") + name);
    Requests requests(model->architecture(), 3);
    size_t tokens = 0;
    for (int i = 0; i < 12; ++i) {
      const auto batch = requests.next();
      tokens += batch.tokens();
      ASSERT_EQ(run(*kept, batch.view()), run(*plain, batch.view())) << name << " batch " << i;
      EXPECT_LE(kept->prefix_counters()->kept_bytes, bytes);
    }
    const auto& counters = *kept->prefix_counters();
    EXPECT_EQ(counters.computed_tokens + counters.shared_tokens + counters.kept_tokens, tokens);
    EXPECT_GT(counters.kept_tokens, tokens / 20) << name;
    EXPECT_GT(counters.kept_bytes, 0u);
  }
}

// As a slow model's documents are computed: one in each batch.
TEST_P(CudaPrefixTest, DocumentsOfOneRequestInBatchesOfTheirOwnShareToo) {
  const auto kept = open_with("qwen3-a", size_t{1} << 20), plain = open_with("qwen3-a", 0);
  for (int32_t document = 0; document < 6; ++document) {
    const auto batch = batch_of({joined(Ids(40, 5), {document, 9, document})}, {40});
    EXPECT_EQ(run(*kept, batch.view()), run(*plain, batch.view()));
  }
  EXPECT_EQ(kept->prefix_counters()->computed_tokens, 40 + 6 * 3u);
  EXPECT_EQ(kept->prefix_counters()->kept_tokens, 5 * 40u);
}

// Any call of a batch that keeps something fails: nothing of it is found by later ones.
TEST_P(CudaPrefixTest, AFailedBatchLeavesNothingBehind) {
  const auto first = batch_of({joined(Ids(40, 5), {1, 2}), joined(Ids(40, 5), {3})}, {40, 40});
  const auto second = batch_of({joined(Ids(40, 5), {7, 9, 7})}, {40});
  const auto expected = run(*open_with("qwen3-a", 0), second.view());
  const auto probe = open_with("qwen3-a", size_t{1} << 20);
  const size_t calls = emulation::calls();
  run(*probe, first.view());
  const size_t needed = emulation::calls() - calls;
  for (size_t n = 0; n < needed; n += 5) {
    const auto backend = open_with("qwen3-a", size_t{1} << 20);
    emulation::settings().calls_to_failure = static_cast<int>(n);
    std::vector<float> logits(2);
    EXPECT_FALSE(backend->forward(first.view(), logits).ok()) << n;
    EXPECT_EQ(run(*backend, second.view()), expected) << n;
    EXPECT_EQ(backend->prefix_counters()->kept_tokens, 0u) << n;
    EXPECT_EQ(run(*backend, second.view()), expected) << n;
    EXPECT_EQ(backend->prefix_counters()->kept_tokens, 40u) << n;
  }
}

// What one batch keeps the next may read, which is begun before the first has ended; and, where there is room for
// hardly one, its slots are given to others while it is read.
TEST_P(CudaPrefixTest, BatchesInFlightReadWhatThoseBeforeThemKeep) {
  const auto plain = open_with("qwen3-a", 0);
  std::vector<engine::OwnedBatch> batches;
  std::vector<std::vector<float>> expected;
  for (int32_t i = 0; i < 6; ++i) {
    batches.push_back(batch_of({joined(Ids(30, i % 3), {i, 1}), joined(Ids(30, i % 3), {2, i, 1})}, {30, 30}));
    expected.push_back(run(*plain, batches.back().view()));
  }
  for (const size_t bytes : {size_t{20'000}, size_t{1} << 20}) {
    const auto kept = open_with("qwen3-a", bytes);
    const auto work = [&](size_t first) {
      for (size_t round = 0; round < 3; ++round)
        for (size_t i = first; i < batches.size(); i += 2) EXPECT_EQ(run(*kept, batches[i].view()), expected[i]) << i;
    };
    auto other = std::async(std::launch::async, work, 1);
    work(0);
    other.get();
    // Each beginning is computed by one batch, and with the larger room found by all others.
    if (bytes > 20'000) {
      EXPECT_GE(kept->prefix_counters()->kept_tokens, (18 - 3) * 30u);
    }
  }
}

TEST(CudaPrefixes, ADeviceWithoutRoomForThemSharesWithinABatch) {
  emulation::settings() = {};
  const auto model = load(RERANKD_SOURCE_DIR "/tests/data/decoders/qwen3-a");
  const auto backend = open(model, {.precision = Precision::kBf16, .prefix_bytes = size_t{8} << 30});
  ASSERT_NE(backend, nullptr);
  const auto batch = batch_of({joined(Ids(80, 5), {1, 2}), joined(Ids(80, 5), {3})}, {80, 80});
  const auto expected = run(*open(model, {.precision = Precision::kBf16, .prefix_bytes = 0}), batch.view());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run(*backend, batch.view()), expected);
  EXPECT_EQ(backend->prefix_counters()->shared_tokens, 2 * 80u);
  EXPECT_EQ(backend->prefix_counters()->kept_tokens, 0u);
}

}  // namespace
}  // namespace rerank
