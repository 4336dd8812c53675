// librerank_cuda.so is found and loaded, or what is missing is said: the library, cuBLASLt, a driver, a GPU.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

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
              HasSubstr("belongs to another version"));
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
