#include "engine/padded/padding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace rerank::engine {
namespace {

OwnedBatch ragged_batch(const std::vector<size_t>& lengths) {
  OwnedBatch batch;
  for (size_t length : lengths) {
    std::vector<int32_t> ids(length), segments(length);
    for (size_t i = 0; i < length; ++i) {
      ids[i] = static_cast<int32_t>(100 * batch.offsets.size() + i);
      segments[i] = i * 2 >= length;
    }
    batch.add(ids, segments);
  }
  return batch;
}

size_t computed(const std::vector<PaddedBlock>& blocks) {
  size_t tokens = 0;
  for (const PaddedBlock& block : blocks) tokens += block.tokens();
  return tokens;
}

TEST(PaddingTest, EverySequenceIsInOneBlockThatIsLongEnoughAndNotTooLarge) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<size_t> lengths(1 + random() % 60);
    for (size_t& length : lengths) length = 1 + random() % (round % 2 ? 512 : 40);
    const OwnedBatch ragged = ragged_batch(lengths);
    PaddingRule rule;
    rule.length_step = 1 + random() % 16;
    rule.max_length = 512;
    rule.block_tokens = 64 + random() % 4096;
    const auto blocks = share_out_padded(ragged, rule, 1 + random() % 4);
    std::vector<int> seen(lengths.size());
    for (const PaddedBlock& block : blocks) {
      EXPECT_EQ(block.rows, block.sequences.size());
      EXPECT_TRUE(block.rows == 1 || block.tokens() <= rule.block_tokens);
      EXPECT_TRUE(block.length % rule.length_step == 0 || block.length == rule.max_length);
      EXPECT_LE(block.length, 512u);
      for (uint32_t s : block.sequences) {
        ++seen[s];
        EXPECT_LE(lengths[s], block.length);
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), static_cast<ptrdiff_t>(lengths.size()));
  }
}

TEST(PaddingTest, MixedLengthsPadLittleAndLikeLengthsStayTogether) {
  EXPECT_EQ(share_out_padded(ragged_batch({100, 100, 100, 100}), {}).size(), 1u);
  EXPECT_EQ(share_out_padded(ragged_batch({100, 98, 99, 97}), {}).size(), 1u) << "three tokens are less than a block";
  std::vector<size_t> lengths;
  size_t tokens = 0;
  for (size_t i = 0; i < 64; ++i) tokens += lengths.emplace_back(32 + 7 * (i * 37 % 64));
  EXPECT_LT(computed(share_out_padded(ragged_batch(lengths), {})), tokens * 115 / 100);
}

TEST(PaddingTest, ThereIsABlockForEachThread) {
  EXPECT_EQ(share_out_padded(ragged_batch({50, 50, 50, 50, 50, 50, 50, 50}), {}, 4).size(), 4u);
  EXPECT_EQ(share_out_padded(ragged_batch({50}), {}, 4).size(), 1u);
}

TEST(PaddingTest, GraphsOfOneShapeGetIt) {
  PaddingRule rule;
  rule.fixed_length = 64;
  rule.fixed_rows = 4;
  const OwnedBatch ragged = ragged_batch({10, 20, 64, 3, 5});
  const auto blocks = share_out_padded(ragged, rule);
  ASSERT_EQ(blocks.size(), 2u);
  for (const PaddedBlock& block : blocks) {
    EXPECT_EQ(block.rows, 4u);
    EXPECT_EQ(block.length, 64u);
  }
}

TEST(PaddingTest, BlocksAreOfShapesThatAreThere) {
  PaddingRule rule;
  rule.shapes = {{1, 512}, {8, 64}, {4, 128}};
  const OwnedBatch ragged = ragged_batch({10, 300, 64, 65, 100, 20, 5, 5, 5, 5, 5, 5});
  size_t sequences = 0;
  for (const PaddedBlock& block : share_out_padded(ragged, rule)) {
    EXPECT_NE(std::find(rule.shapes.begin(), rule.shapes.end(), (PaddedShape{block.rows, block.length})),
              rule.shapes.end());
    ASSERT_LE(block.sequences.size(), block.rows);
    for (const uint32_t s : block.sequences) EXPECT_LE(ragged.length(s), block.length);
    sequences += block.sequences.size();
  }
  EXPECT_EQ(sequences, ragged.size());
  // 300 alone, 100 and 65 at 128 with two short ones, eight at 64.
  EXPECT_EQ(computed(share_out_padded(ragged, rule)), 3 * 512u);
}

TEST(PaddingTest, FillsTokensAndPaddingAlike) {
  const OwnedBatch ragged = ragged_batch({3, 2});
  const PaddedBlock block{{1, 0}, 3, 4};
  const PadValues pad{9, 2};
  const auto filled = [&](TokenInput input) {
    std::vector<int64_t> out(block.tokens(), -1);
    fill_padded(ragged, block, input, pad, out.data());
    return out;
  };
  EXPECT_EQ(filled(TokenInput::kIds), (std::vector<int64_t>{200, 201, 9, 9, 100, 101, 102, 9, 9, 9, 9, 9}));
  EXPECT_EQ(filled(TokenInput::kMask), (std::vector<int64_t>{1, 1, 0, 0, 1, 1, 1, 0, 1, 0, 0, 0}));
  EXPECT_EQ(filled(TokenInput::kSegments), (std::vector<int64_t>{0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(filled(TokenInput::kPositions), (std::vector<int64_t>{2, 3, 2, 2, 2, 3, 4, 2, 2, 2, 2, 2}));
}

}  // namespace
}  // namespace rerank::engine
