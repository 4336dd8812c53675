// What the CUDA engine does where there is no GPU, and the parts of it that need none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"
#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/kernels/tiles.h"
#include "engine/registry.h"
#include "support/tiny_model.h"

namespace rerank::engine {
namespace {

using ::testing::HasSubstr;

TEST(CudaTilesTest, EveryQueryIsInOneTileAndLongSequencesComeFirst) {
  const auto tiles = cuda::attention_tiles(std::vector<cuda::Run>{{0, 3}, {3, 130}, {133, 64}});
  std::vector<int> seen(133 + 64);
  uint32_t longest = UINT32_MAX;
  for (const cuda::QueryTile& tile : tiles) {
    EXPECT_LE(tile.length, longest);
    longest = tile.length;
    for (uint32_t i = tile.first_query; i < std::min(tile.length, tile.first_query + cuda::kTileQueries); ++i)
      ++seen.at(tile.begin + i);
  }
  EXPECT_THAT(seen, ::testing::Each(1));
  EXPECT_EQ(tiles.size(), 5u);
  EXPECT_EQ(tiles.front().begin, 3u);
  EXPECT_EQ(cuda::attention_tiles(std::vector<cuda::Run>{{0, 3}, {3, 130}, {133, 64}}, cuda::kLongTileQueries).size(),
            4u);
}

TEST(CudaTilesTest, LongTilesAreForLongSequencesThatFillTheDevice) {
  EXPECT_EQ(cuda::tile_queries(32 * 512, 32, 16, 132), cuda::kLongTileQueries);
  EXPECT_EQ(cuda::tile_queries(66 * 128, 66, 12, 132), cuda::kLongTileQueries);
  EXPECT_EQ(cuda::tile_queries(512, 1, 16, 132), cuda::kTileQueries) << "64 blocks for 132 processors";
  EXPECT_EQ(cuda::tile_queries(256 * 64, 256, 16, 132), cuda::kTileQueries) << "the other half would be empty";
}

// A machine without a GPU, or a build without CUDA, says so; auto goes on to the next engine.
TEST(CudaEngineTest, WhereItCannotRunItSaysWhyAndTheCpuIsTaken) {
  auto model = model::load_model(testing::write_tiny_model({.hidden = 48, .heads = 3}, "cuda_test"));
  ASSERT_TRUE(model.ok()) << model.status();
  auto described = describe_cuda_backend(**model, {});
  auto opened = make_cuda_backend(*model, {});
  EXPECT_EQ(described.ok(), opened.ok());
  if (opened.ok()) return;  // there is one: the conformance test judges it
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kUnimplemented) << opened.status();
  EXPECT_EQ(described.status(), opened.status());
  auto taken = open_backend(*model, EngineKind::kAuto, {});
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ((*taken)->info().engine_text(), "cpu");
}

TEST(CudaEngineTest, PrecisionsAndKernelsItHasNotAreRefused) {
  auto model = model::load_model(testing::write_tiny_model({.hidden = 48, .heads = 3}, "cuda_test"));
  ASSERT_TRUE(model.ok());
  EXPECT_THAT(std::string(make_cuda_backend(*model, {Precision::kInt8}).status().message()),
              HasSubstr("fp16, bf16, fp32"));
  EXPECT_EQ(make_cuda_backend(*model, {.kernel = KernelTier::kAmx}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace rerank::engine
