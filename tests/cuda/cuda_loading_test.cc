// librerank_cuda.so is found and loaded, or what is missing is said: the library, cuBLASLt, a driver, a GPU.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/strings.h"
#include "engine/cuda/host/library.h"
#include "support.h"

namespace rerank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string load_error(const engine::CudaPlaces& places) {
  return std::string(engine::load_cuda_library(places).status().message());
}

// In this order: what is loaded once is there for who needs it later.
TEST(CudaLoadingTest, CublasIsLookedForAndNamedWhereItIsNot) {
  const std::string library = std::filesystem::path(RERANKD_STUB_LIBRARY).string();
  EXPECT_THAT(load_error({{"/nowhere/librerank_cuda.so"}, {}}),
              AllOf(HasSubstr("not there"), HasSubstr("/nowhere/librerank_cuda.so")));
  EXPECT_THAT(load_error({{library}, {"/nowhere"}}),
              AllOf(HasSubstr(library), HasSubstr("needs NVIDIA's libcublasLt.so.99"), HasSubstr("/nowhere"),
                    HasSubstr("LD_LIBRARY_PATH")));
  EXPECT_THAT(load_error({{"/nowhere/librerank_cuda.so", library}, {"/nowhere", RERANKD_STUB_CUBLASLT}}),
              HasSubstr("is older than this program"));
}

TEST(CudaLoadingTest, LibrariesOfOtherMajorVersionsAreRefusedInPlainWords) {
  const auto library = [](const char* version) {
    return str_cat(RERANKD_STUB_VERSIONS "/", version, "/librerank_cuda.so");
  };
  EXPECT_EQ(load_error({{library("older")}, {}}),
            str_cat(library("older"), ": is older than this program (version 10.4 of what they say to each other, not ",
                    engine::cuda::kPluginMajor, ".", engine::cuda::kPluginMinor,
                    "): take the one that came with this program"));
  EXPECT_THAT(load_error({{library("newer")}, {}}),
              AllOf(HasSubstr("is newer than this program"), HasSubstr("12.0"), HasSubstr("take the one that came")));
  EXPECT_THAT(load_error({{library("cut_off")}, {}}), AllOf(HasSubstr("40 bytes"), HasSubstr("it is damaged")));
  // Earlier and later minor versions are understood: what one of them lacks is null, what it has besides is not looked
  // at.
  const auto earlier = engine::load_cuda_library({{library("no_longer_new")}, {}});
  ASSERT_TRUE(earlier.ok()) << earlier.status();
  EXPECT_EQ((*earlier)->minor, 0u);
  EXPECT_EQ(engine::about_cuda_library(**earlier), "a stub of 11.0");
  const auto later = engine::load_cuda_library({{library("of_tomorrow")}, {}});
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(engine::about_cuda_library(**later), "a stub of 11.9");
}

// Who changes one of them gives the other side another layout: a field at the end takes a new minor number, anything
// else a new major one, and this table follows.
TEST(CudaLoadingTest, StructsHaveTheSizesOfTheirVersion) {
  using namespace engine::cuda;
  static_assert(kPluginMajor == 11 && kPluginMinor == 3);
  static_assert(kFirstPluginBytes == 152 && sizeof(Plugin) == 160);                    // minor 0, 2
  static_assert(offsetof(ModelSpec, convolution) == 504 && sizeof(ModelSpec) == 632);  // minor 0, 1
  static_assert(offsetof(LayerSpec, global_query) == 832 && sizeof(LayerSpec) == 1088);
  static_assert(offsetof(BatchSpec, prefix_row_count) == 56);  // minor 0, 2, 3
  static_assert(offsetof(BatchSpec, marked_count) == 104 && sizeof(BatchSpec) == 120);
  static_assert(sizeof(TunedProduct) == 104 && sizeof(Tensor) == 24 && sizeof(LinearSpec) == 56);
}

TEST(CudaLoadingTest, TheLibrarySaysWhatItIsMadeOf) {
  ASSERT_TRUE(engine::cuda_library().ok()) << engine::cuda_library().status();
  EXPECT_THAT(engine::about_cuda_library(**engine::cuda_library()),
              AllOf(HasSubstr("CUDA 13.0 for"), HasSubstr("cuBLASLt 13.1.0 (/")));
}

class CudaDriverTest : public ::testing::Test {
 protected:
  void SetUp() override { emulation::settings() = {}; }
  void TearDown() override { emulation::settings() = {}; }

  static std::string refusal() {
    const auto model = load(testing::write_tiny_model({.hidden = 64, .heads = 2}, "cuda_loading"));
    const Status described = engine::describe_cuda_backend(*model, {}).status();
    EXPECT_EQ(described, engine::make_cuda_backend(model, {}).status());
    EXPECT_EQ(described.code(), absl::StatusCode::kUnimplemented);
    return std::string(described.message());
  }
};

TEST_F(CudaDriverTest, WhatTheMachineLacksIsSaidWithWhatItHas) {
  emulation::settings().driver_version = 0;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no NVIDIA driver"), HasSubstr("driver 580"), HasSubstr("cuBLASLt 13.1.0")));
  emulation::settings().driver_version = 12040;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("too old: it serves CUDA 12.4"), HasSubstr("driver 580")));
  emulation::settings() = {.devices = 0};
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no GPU that this process may use"), HasSubstr("CUDA_VISIBLE_DEVICES")));
  emulation::settings() = {.driver_version = 13020};
  EXPECT_TRUE(open(load(testing::write_tiny_model({.hidden = 64, .heads = 2}, "cuda_loading")), {}) != nullptr);
}

}  // namespace
}  // namespace rerank
