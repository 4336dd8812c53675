#include "text/pair.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rerank::text {
namespace {

using Kind = TemplatePiece::Kind;
using testing::ElementsAre;

// [CLS] A [SEP] B [SEP]
PairTemplate bert() {
  PairTemplate out;
  out.single = {{Kind::kSpecial, 101, 0}, {Kind::kFirst, 0, 0}, {Kind::kSpecial, 102, 0}};
  out.pair = out.single;
  out.pair.push_back({Kind::kSecond, 0, 1});
  out.pair.push_back({Kind::kSpecial, 102, 1});
  return out;
}

TruncationSpec spec(size_t max_length, TruncationStrategy strategy = TruncationStrategy::kLongestFirst) {
  return {.max_length = max_length, .strategy = strategy};
}

TEST(Pair, JoinsWithSpecialTokensAndSegments) {
  const EncodedPair pair = join_pair(bert(), std::vector<int32_t>{1, 2}, std::vector<int32_t>{3}, spec(16));
  EXPECT_THAT(pair.ids, ElementsAre(101, 1, 2, 102, 3, 102));
  EXPECT_THAT(pair.type_ids, ElementsAre(0, 0, 0, 0, 1, 1));
  EXPECT_FALSE(pair.truncated);
  const EncodedPair single = join_single(bert(), std::vector<int32_t>{1, 2}, spec(16));
  EXPECT_THAT(single.ids, ElementsAre(101, 1, 2, 102));
}

TEST(Pair, EmptyTexts) {
  EXPECT_THAT(join_pair(bert(), {}, {}, spec(16)).ids, ElementsAre(101, 102, 102));
  EXPECT_THAT(join_pair(bert(), std::vector<int32_t>{7}, {}, spec(16)).ids, ElementsAre(101, 7, 102, 102));
}

TEST(Pair, CutsTheAskedEnd) {
  const std::vector<int32_t> first{1}, second{2, 3, 4, 5};
  TruncationSpec limit = spec(6);
  EXPECT_THAT(join_pair(bert(), first, second, limit).ids, ElementsAre(101, 1, 102, 2, 3, 102));
  limit.side = TruncationSide::kLeft;
  EXPECT_THAT(join_pair(bert(), first, second, limit).ids, ElementsAre(101, 1, 102, 4, 5, 102));
}

TEST(Pair, LongestFirstKeepsTheShorterOne) {
  EXPECT_EQ(truncated_lengths(10, 100, 3, spec(53)), (PairLengths{10, 40, true}));
  EXPECT_EQ(truncated_lengths(100, 10, 3, spec(53)), (PairLengths{40, 10, true}));
  EXPECT_EQ(truncated_lengths(100, 100, 3, spec(54)), (PairLengths{25, 26, true}));  // the odd token goes to the longer
  EXPECT_EQ(truncated_lengths(101, 100, 3, spec(54)), (PairLengths{26, 25, true}));
  EXPECT_EQ(truncated_lengths(20, 30, 3, spec(53)), (PairLengths{20, 30, false}));
}

TEST(Pair, OnlyOneIsCutWhileItCanBe) {
  EXPECT_EQ(truncated_lengths(10, 100, 3, spec(53, TruncationStrategy::kOnlySecond)), (PairLengths{10, 40, true}));
  EXPECT_EQ(truncated_lengths(100, 10, 3, spec(53, TruncationStrategy::kOnlyFirst)), (PairLengths{40, 10, true}));
  // `tokenizers` fails where nothing would be left of the one; both are cut here.
  EXPECT_EQ(truncated_lengths(50, 10, 3, spec(53, TruncationStrategy::kOnlySecond)), (PairLengths{40, 10, true}));
  EXPECT_EQ(truncated_lengths(60, 60, 3, spec(13, TruncationStrategy::kOnlySecond)), (PairLengths{5, 5, true}));
}

TEST(Pair, LimitsBelowTheSpecialTokensKeepNothing) {
  for (size_t limit : {0, 1, 3}) {
    const EncodedPair pair = join_pair(bert(), std::vector<int32_t>{1}, std::vector<int32_t>{2}, spec(limit));
    EXPECT_THAT(pair.ids, ElementsAre(101, 102, 102)) << limit;
    EXPECT_TRUE(pair.truncated);
  }
}

// Whatever the lengths, what is kept fits, and uses the room there is.
TEST(Pair, NeverOverTheLimitNeverWasteful) {
  for (auto strategy :
       {TruncationStrategy::kLongestFirst, TruncationStrategy::kOnlyFirst, TruncationStrategy::kOnlySecond}) {
    for (size_t limit = 3; limit < 24; ++limit) {
      for (size_t first = 0; first < 24; ++first) {
        for (size_t second = 0; second < 24; ++second) {
          const PairLengths kept = truncated_lengths(first, second, 3, spec(limit, strategy));
          EXPECT_LE(kept.first, first);
          EXPECT_LE(kept.second, second);
          EXPECT_EQ(kept.first + kept.second, std::min(first + second, limit - 3))
              << first << " " << second << " " << limit;
          EXPECT_EQ(kept.truncated, first + second > limit - 3);
        }
      }
    }
  }
}

}  // namespace
}  // namespace rerank::text
