// Documents over the limit: cut as the request, the operator or the model says, refused, or scored in chunks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "rank/rank_test.h"
#include "rank/score.h"
#include "rerank/reranker.h"

namespace rerank::rank {
namespace {

TEST(RerankTest, TruncationIsSaidOrRefused) {
  auto reranker = open(bert());
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "rain ";
  auto cut = reranker->rerank({.query = "rain", .documents = {text, "short"}});
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut->truncated_documents, 1u);
  for (const auto& r : cut->results) EXPECT_EQ(r.truncated, r.index == 0);
  auto refused = reranker->rerank({.query = "rain", .documents = {"short", text}, .truncate = false});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(message_of(refused.status())), ::testing::HasSubstr("must have less than 513 tokens"));
  auto limited = reranker->rerank({.query = "rain", .documents = {text}, .max_length = 20});
  EXPECT_EQ(limited->results[0].tokens, 20u);
  auto document_limit = reranker->rerank({.query = "rain", .documents = {text}, .max_document_tokens = 7});
  EXPECT_LE(document_limit->results[0].tokens, 7u + 3u + 4u);
  EXPECT_TRUE(document_limit->results[0].truncated);
}

TEST(RerankTest, LongDocumentsAreCutAsAskedOrScoredInChunks) {
  auto reranker = open(bert());
  std::string text;
  for (int i = 0; i < 20; ++i) text += i < 8 ? "rain falls in berlin " : "the cat ";
  RerankRequest request{.query = "rain", .documents = {text, "short"}, .max_length = 32, .explain_cuts = true};
  auto of = [](const RerankResponse& r, size_t index) {
    return *std::find_if(r.results.begin(), r.results.end(), [&](const auto& d) { return d.index == index; });
  };
  for (Truncation how : {Truncation::kHead, Truncation::kTail, Truncation::kHeadTail, Truncation::kQueryAware}) {
    request.truncation = how;
    auto response = reranker->rerank(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->truncated_documents, 1u);
    const RankedDocument cut = of(*response, 0);
    EXPECT_EQ(cut.tokens, 32u);
    EXPECT_EQ(of(*response, 1).kept, (std::vector<TokenRange>{{0, of(*response, 1).document_tokens}}));
    size_t kept = 0;
    for (const TokenRange& part : cut.kept) kept += part.end - part.begin;
    EXPECT_LT(kept, 32u);
    EXPECT_GT(cut.document_tokens, kept);
  }
  request.truncation = Truncation::kChunks;
  request.chunk_overlap = 4;
  auto chunked = reranker->rerank(request);
  ASSERT_TRUE(chunked.ok()) << chunked.status();
  EXPECT_EQ(chunked->truncated_documents, 0u);
  const RankedDocument d = of(*chunked, 0);
  EXPECT_GT(d.kept.size(), 1u);
  EXPECT_LT(d.best_chunk, d.kept.size());
  EXPECT_GT(d.tokens, d.document_tokens);
  // The best chunk alone has the document's score; the mean is below it.
  request.chunk_best = 0;
  EXPECT_LT(of(*reranker->rerank(request), 0).logit, d.logit);
  request.max_chunks = 1;
  const RankedDocument first = of(*reranker->rerank(request), 0);
  EXPECT_EQ(first.kept.size(), 1u);
  EXPECT_TRUE(first.truncated);
  // Chunks lose nothing, so that a client which wants nothing cut gets its answer.
  request.max_chunks = 0;
  request.truncate = false;
  EXPECT_TRUE(reranker->rerank(request).ok());
}

TEST(RerankTest, TheServersTruncationHoldsUnlessTheRequestSaysOtherwise) {
  auto reranker = open(bert(), [](Options& o) {
    o.model.texts.truncation = Truncation::kChunks;
    o.model.texts.max_chunks = 2;
    o.model.texts.max_length = 16;
  });
  std::string text;
  for (int i = 0; i < 40; ++i) text += "rain ";
  const RerankRequest request{.query = "rain", .documents = {text}, .explain_cuts = true};
  EXPECT_EQ(reranker->rerank(request)->results[0].kept.size(), 2u);
  auto changed = request;
  changed.truncation = Truncation::kHead;
  EXPECT_EQ(reranker->rerank(changed)->results[0].kept.size(), 1u);
  changed = request;
  changed.truncation_side = TruncationSide::kLeft;
  EXPECT_EQ(reranker->rerank(changed)->results[0].kept[0].end, reranker->rerank(changed)->results[0].document_tokens);
}

// The built-in model's config.json asks for 256 tokens and query-aware cutting; the operator's options go before.
TEST(RerankTest, AModelMaySayHowItIsServed) {
  std::string text = "The harbour opened in 1871.";
  for (int i = 0; i < 400; ++i) text += " fish";
  text += " The lighthouse keeper was called Brenda.";
  const RerankRequest request{
      .query = "What was the lighthouse keeper called?", .documents = {text}, .explain_cuts = true};
  const auto kept = [&](auto change) {
    auto reranker = open("", change);
    const RankedDocument document = reranker->rerank(request)->results[0];
    return std::pair(reranker->info().max_length, document.kept.back().end == document.document_tokens);
  };
  EXPECT_EQ(kept([](Options&) {}), std::pair(size_t{256}, true));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.truncation = Truncation::kHead; }), std::pair(size_t{256}, false));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.max_length = 128; }), std::pair(size_t{128}, true));
  EXPECT_EQ(kept([](Options& o) { o.model.texts.max_length = 512; }).first, 512u);
}

}  // namespace
}  // namespace rerank::rank
