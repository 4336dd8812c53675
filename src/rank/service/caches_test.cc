// What the service knows of earlier requests and computes once.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/metrics.h"
#include "rank/rank_test.h"
#include "rerank/reranker.h"

namespace rerank::rank {
namespace {

TEST(RerankTest, KnownPairsComeFromTheCacheAndOptionsCount) {
  auto reranker = open(bert());
  const RerankRequest request = {.query = "rain today",
                                 .documents = {"sunny weather in Berlin today", "rain", "the cat"}};
  auto first = reranker->rerank(request), second = reranker->rerank(request);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->cached_documents, 0u);
  EXPECT_EQ(second->cached_documents, 3u);
  EXPECT_EQ(second->total_tokens, first->total_tokens);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(second->results[i].index, first->results[i].index);
    EXPECT_EQ(second->results[i].logit, first->results[i].logit);
  }
  auto changed = request;
  changed.documents[1] = "snow";
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 2u);
  changed = request;
  changed.max_length = 9;
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
  changed = request;
  changed.use_cache = false;
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
  changed = request;
  changed.query = "rain toda";
  EXPECT_EQ(reranker->rerank(changed)->cached_documents, 0u);
}

TEST(RerankTest, EqualDocumentsAreComputedOnceAndKnownOnesAreNotTokenizedAgain) {
  auto metrics = std::make_shared<Metrics>();
  auto reranker = open(
      bert(), [](Options& o) { o.host.caches.cache_bytes = 0; }, metrics);
  const auto pairs = [&] { return metrics->counter("rerankd_batch_pairs_total", "").value(); };
  ASSERT_TRUE(reranker->rerank({.query = "rain", .documents = {"sun", "snow", "sun", "sun"}}).ok());
  EXPECT_EQ(pairs(), 2);
  EXPECT_EQ(metrics->counter("rerankd_joined_pairs_total", "").value(), 2);
  const double tokenized = metrics->counter("rerankd_token_cache_misses_total", "").value();
  ASSERT_TRUE(reranker->rerank({.query = "another question", .documents = {"snow", "sun"}}).ok());
  EXPECT_EQ(metrics->counter("rerankd_token_cache_misses_total", "").value(), tokenized);
  EXPECT_EQ(pairs(), 4);
  ASSERT_TRUE(reranker->rerank({.query = "rain", .documents = {"sun", "sun"}, .use_cache = false}).ok());
  EXPECT_EQ(pairs(), 6) << "who wants fresh scores gets one computation each";
}

TEST(PromptTest, AnInstructionIsPartOfTheCachesKey) {
  auto reranker = open(decoder_with_room("qwen3-a"), [](Options& o) { o.host.caches.cache_bytes = 1 << 20; });
  const auto ask = [&](std::optional<std::string> instruction) {
    auto response = reranker->rerank({.query = "q", .documents = {"a bear"}, .instruction = std::move(instruction)});
    EXPECT_TRUE(response.ok()) << response.status();
    return std::pair(response->results.at(0).logit, response->cached_documents);
  };
  const auto plain = ask(std::nullopt), other = ask("find the opposite");
  EXPECT_NE(plain.first, other.first);
  EXPECT_EQ(other.second, 0u);
  EXPECT_EQ(ask("find the opposite"), std::pair(other.first, size_t{1}));
  // The default, said or not, is one.
  EXPECT_EQ(ask("Given a web search query, retrieve relevant passages that answer the query"),
            std::pair(plain.first, size_t{1}));
}

// Two instructions that XXH3, without a secret, could not tell apart after the 128 bytes that stood before them in a
// key, whatever these were.
TEST(PromptTest, InstructionsMadeToCollideDoNot) {
  auto reranker = open(decoder_with_room("qwen3-a"), [](Options& o) { o.host.caches.cache_bytes = 1 << 20; });
  const auto hashed = [](const std::string& text) { return hash128(std::string(128, 'p') + text); };
  const std::string one = std::string(16, 'x') + "9LBk`aaa" + std::string(56, 'x') + "potXkjjj" + std::string(424, 'x');
  const std::string other =
      std::string(16, 'x') + "9LBkaaaa" + std::string(56, 'x') + "potXjjjj" + std::string(424, 'x');
  ASSERT_EQ(hashed(one), hashed(other));
  const auto ask = [&](const std::string& instruction) {
    auto response = reranker->rerank({.query = "q", .documents = {"a bear"}, .instruction = instruction});
    EXPECT_TRUE(response.ok()) << response.status();
    return response->cached_documents;
  };
  EXPECT_EQ(ask(one), 0u);
  EXPECT_EQ(ask(other), 0u);
  EXPECT_EQ(ask(one), 1u);
}

}  // namespace
}  // namespace rerank::rank
