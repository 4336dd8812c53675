#include "rank/host.h"

#include <gtest/gtest.h>

#include "rerank/reranker.h"

namespace rerank::rank {
namespace {

TEST(HostTest, PackedWeightsOfModelsAreHeldWhileTheModelsAreThere) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  Options options;
  options.model.source.model = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";
  options.model.engine.engine = EngineKind::kCpu;
  SharedHost shared;
  shared.host = *host;
  auto first = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(first.ok()) << first.status();
  const uint64_t one = (*host)->held_weights();
  EXPECT_GT(one, 0u);
  auto second = Reranker::open(options, nullptr, shared);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*host)->held_weights(), 2 * one);
  first->reset();
  EXPECT_EQ((*host)->held_weights(), one);
  const auto others = (*host)->hold_weights(uint64_t{1} << 60);  // more than any machine has
  const auto third = Reranker::open(options, nullptr, shared);
  EXPECT_TRUE(absl::IsResourceExhausted(third.status())) << third.status();
  EXPECT_NE(third.status().ToString().find("other models' weights have"), std::string::npos) << third.status();
}

TEST(HostTest, EnginesTakeTurnsWhereTheyCompute) {
  auto host = Host::make({}, nullptr);
  ASSERT_TRUE(host.ok()) << host.status();
  const auto threads = (*host)->turns_at("", 1), device = (*host)->turns_at("cuda 0", 2);
  EXPECT_NE(threads, device);
  EXPECT_EQ((*host)->turns_at("", 1), threads);
  EXPECT_EQ((*host)->turns_at("cuda 0", 2), device);
  EXPECT_NE((*host)->turns_at("cuda 1", 2), device);
}

}  // namespace
}  // namespace rerank::rank
