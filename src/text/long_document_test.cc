#include "text/long_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace rerank::text {
namespace {

using ::testing::ElementsAre;

const PairTemplate kBert = {.single = {},
                            .pair = {{TemplatePiece::Kind::kSpecial, 101, 0},
                                     {TemplatePiece::Kind::kFirst, 0, 0},
                                     {TemplatePiece::Kind::kSpecial, 102, 0},
                                     {TemplatePiece::Kind::kSecond, 0, 1},
                                     {TemplatePiece::Kind::kSpecial, 102, 1}}};

std::vector<int32_t> counting(size_t n, int32_t from = 1000) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

TEST(LongDocumentTest, WhatFitsIsTheSameForAll) {
  const auto query = counting(4, 1), document = counting(9);
  for (int how = 0; how < 5; ++how) {
    const auto fitted = fit_document(kBert, QueryTerms(query), document,
                                     {.max_length = 16, .truncation = static_cast<Truncation>(how)});
    ASSERT_EQ(fitted.pairs.size(), 1u);
    EXPECT_EQ(fitted.pairs[0].ids, join_pair(kBert, query, document, {.max_length = 16}).ids);
    EXPECT_FALSE(fitted.truncated || fitted.too_long);
    EXPECT_THAT(fitted.kept, ElementsAre(TokenRange{0, 9}));
  }
}

TEST(LongDocumentTest, NothingIsEverLongerThanTheLimitAndCutsAreSaid) {
  for (size_t query_size : {0, 1, 5, 40}) {
    for (size_t size : {0, 1, 30, 64, 65, 500}) {
      for (size_t limit : {0, 1, 7, 100}) {
        for (size_t max_length : {8, 33, 64, 65}) {
          for (int how = 0; how < 5; ++how) {
            const auto query = counting(query_size, 1), document = counting(size, 20);
            const QueryTerms terms(query);
            const FitSpec spec{max_length, limit, static_cast<Truncation>(how), {}};
            const auto fitted = fit_document(kBert, terms, document, spec);
            std::vector<bool> seen(size);
            size_t together = 0;
            for (const TokenRange& part : fitted.kept) {
              ASSERT_LE(part.begin, part.end);
              ASSERT_LE(part.end, size);
              for (size_t i = part.begin; i < part.end; ++i) seen[i] = true;
              together += part.end - part.begin;
            }
            size_t tokens = 0;
            for (const EncodedPair& pair : fitted.pairs) {
              ASSERT_LE(pair.ids.size(), max_length);
              tokens += pair.ids.size() - 3;
            }
            const bool all = std::all_of(seen.begin(), seen.end(), [](bool b) { return b; });
            ASSERT_TRUE(fitted.truncated || all);
            ASSERT_LE(together, tokens);  // the pairs hold what is said to be kept, and the query
            ASSERT_LE(tokens, together + query_size * fitted.pairs.size());
          }
        }
      }
    }
  }
}

TEST(LongDocumentTest, HeadAndTailGiveHalfTheRoomToEach) {
  const auto query = counting(2, 1), document = counting(100);
  const auto fitted =
      fit_document(kBert, QueryTerms(query), document, {.max_length = 15, .truncation = Truncation::kHeadTail});
  EXPECT_THAT(fitted.kept, ElementsAre(TokenRange{0, 5}, TokenRange{95, 100}));
  EXPECT_EQ(fitted.pairs[0].ids[4], 1000);
  EXPECT_EQ(fitted.pairs[0].ids[13], 1099);
  EXPECT_TRUE(fitted.truncated);
}

TEST(LongDocumentTest, QueryAwareKeepsTheWindowsThatHoldTheRareWordsOfTheQuery) {
  std::vector<int32_t> document(960, 7);  // 7: a word in every window, also of the query
  document[700] = 50;
  document[710] = 51;
  document[300] = 51;
  const auto kept = query_aware_ranges(document, 96, {7, 50, 51});
  // The first window, the one with both words, and the better of its neighbours.
  ASSERT_FALSE(kept.empty());
  EXPECT_EQ(kept.front(), (TokenRange{0, 32}));
  size_t together = 0;
  bool has_both = false;
  for (const TokenRange& part : kept) {
    together += part.end - part.begin;
    has_both |= part.begin <= 700 && part.end > 710;
  }
  EXPECT_EQ(together, 96u);
  EXPECT_TRUE(has_both);
  EXPECT_THAT(query_aware_ranges(document, 96, {99}), ElementsAre(TokenRange{0, 96}));  // nothing in common: the head
}

TEST(LongDocumentTest, ChunksAreEqualOverlapAndCoverEverything) {
  const auto ranges = chunk_ranges(1000, 300, {.overlap = 50, .max_chunks = 16});
  ASSERT_EQ(ranges.size(), 4u);
  EXPECT_EQ(ranges.front().begin, 0u);
  EXPECT_EQ(ranges.back().end, 1000u);
  for (size_t i = 0; i < ranges.size(); ++i) {
    EXPECT_LE(ranges[i].end - ranges[i].begin, 300u);
    if (i > 0) {
      EXPECT_GE(ranges[i - 1].end, ranges[i].begin + 49);
    }
  }
  EXPECT_EQ(chunk_ranges(300, 300, {}).size(), 1u);
  const auto bounded = chunk_ranges(100000, 300, {.overlap = 50, .max_chunks = 3});
  EXPECT_EQ(bounded.size(), 3u);
  EXPECT_EQ(bounded.back().end, 800u);
  EXPECT_EQ(chunk_ranges(10, 3, {.overlap = 99}).back().end, 10u);  // more overlap than room
}

TEST(LongDocumentTest, NamesAreRead) {
  EXPECT_EQ(parse_choice<Truncation>("query-aware"), Truncation::kQueryAware);
  EXPECT_EQ(parse_choice<Truncation>("head_tail"), Truncation::kHeadTail);
  EXPECT_EQ(parse_choice<Truncation>("middle"), std::nullopt);
  EXPECT_EQ(parse_chunk_score("max"), ChunkScore{1});
  EXPECT_EQ(parse_chunk_score("mean"), ChunkScore{0});
  EXPECT_EQ(parse_chunk_score("top12"), ChunkScore{12});
  EXPECT_EQ(parse_chunk_score("top0"), std::nullopt);
  EXPECT_EQ(parse_chunk_score("top"), std::nullopt);
}

}  // namespace
}  // namespace rerank::text
