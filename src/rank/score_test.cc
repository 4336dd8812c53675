#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/strings.h"
#include "rank/score.h"

namespace rerank::rank {
namespace {

TEST(ScoreTest, ChunksBecomeOneScore) {
  const std::vector<float> logits = {1, 5, 3};
  EXPECT_EQ(aggregate_chunks(logits, 1), 5);
  EXPECT_EQ(aggregate_chunks(logits, 2), 4);
  EXPECT_EQ(aggregate_chunks(logits, 0), 3);
  EXPECT_EQ(aggregate_chunks(logits, 99), 3);
}

TEST(ScoreTest, SortsByLogitTiesInInputOrderAndCuts) {
  const std::vector<ScoredDocument> documents = {{1}, {40}, {3}, {3}, {41}};
  auto ranked = rank_documents(documents, ScoreScale::kSigmoid, 0);
  std::vector<size_t> order;
  for (const auto& r : *ranked) order.push_back(r.index);
  EXPECT_THAT(order, ::testing::ElementsAre(4, 1, 2, 3, 0));  // 40 and 41 have the same sigmoid in fp32
  EXPECT_EQ(rank_documents(documents, ScoreScale::kLogit, 2)->size(), 2u);
  EXPECT_EQ(rank_documents(documents, ScoreScale::kLogit, 2)->front().score, 41.0f);
  const std::vector<ScoredDocument> broken = {{1}, {NAN}};
  EXPECT_THAT(std::string(message_of(rank_documents(broken, ScoreScale::kLogit, 0).status())),
              ::testing::HasSubstr("document 1"));
}

}  // namespace
}  // namespace rerank::rank
