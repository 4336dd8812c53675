// What the planner is told of an engine before it serves.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "model/weights.h"
#include "rank/rank_test.h"
#include "rank/warm_up.h"
#include "schedule/scheduler.h"

namespace rerank::rank {
namespace {

TEST(WarmUpTest, LearnsTheEnginesSpeedAndTheCostOfAttention) {
  // Time is counted, not measured: 1 ms per batch, 1 us per token, 2 ns per squared token.
  struct Counted : engine::Backend {
    engine::BackendInfo info_{.max_length = 512};
    double seconds = 0;
    size_t batches = 0;
    const engine::BackendInfo& info() const override { return info_; }
    Status forward(const engine::Batch& batch, std::span<float>) override {
      ++batches;
      seconds += 1e-3;
      std::set<int32_t> first;
      for (size_t i = 0; i < batch.size(); ++i) {
        EXPECT_TRUE(first.insert(batch.ids[batch.offsets[i]]).second) << "two sequences begin alike";
        const auto n = static_cast<double>(batch.length(i));
        seconds += 1e-6 * n + 2e-9 * n * n;
      }
      return ok_status();
    }
  } backend;
  const std::vector<int32_t> ids = {5, 6, 7, 8, 9, 10, 11, 12, 13};
  auto learned = warm_up(backend, ids, {.square = 1e-3}, [&] { return backend.seconds; });
  ASSERT_TRUE(learned.ok());
  EXPECT_NEAR(learned->attention.square / 2e-3, 1, 0.5);
  schedule::Scheduler scheduler(backend, {.attention = learned->attention}, nullptr, learned->batches);
  for (uint32_t length : {50u, 100u, 200u}) {
    const std::vector<uint32_t> lengths(8, length);
    const double truth = 1e-3 + 8 * (1e-6 * length + 2e-9 * length * length);
    EXPECT_NEAR(scheduler.predicted_seconds(lengths) / truth, 1, 0.1) << length;
  }
}

// What the planner takes a long prompt for: of full attention each token sees all, of causal half, of a window's no
// more than the window.
TEST(CostTest, CausalAttentionIsHalfOfFull) {
  model::Architecture a = (*model::load_model(decoder_with_room("qwen3-a")))->architecture();
  const schedule::AttentionCost causal = attention_cost(a);
  for (model::Block& block : a.blocks) block.attention.mask = model::MaskKind::kFull;
  const schedule::AttentionCost full = attention_cost(a);
  EXPECT_GT(full.square, 0);
  EXPECT_DOUBLE_EQ(causal.of_token(32000), full.of_token(32000) / 2);
  const schedule::CostModel model(causal);
  EXPECT_NEAR(model.work(32000) / model.work(16000), 4, 0.5) << "of a long prompt most is attention";
  a = (*model::load_model(decoder_with_room("gemma2-a")))->architecture();
  const schedule::AttentionCost windows = attention_cost(a);
  EXPECT_EQ(windows.span, 24);
  EXPECT_LT(windows.of_token(32000) - windows.of_token(16000), windows.square * 16001);
}

}  // namespace
}  // namespace rerank::rank
