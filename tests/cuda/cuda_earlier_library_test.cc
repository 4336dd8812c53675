// A librerank_cuda.so of an earlier minor version beside the program (stub_library.cc): models that it would compute
// wrongly are refused, with what to do; others are its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cuda/cuda_backend.h"
#include "engine/cuda/host/library.h"

namespace rerank {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::shared_ptr<const model::Model> recorded(const std::string& name) {
  auto model = model::load_model(RERANKD_SOURCE_DIR "/tests/data/models/" + name);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

TEST(CudaEarlierLibraryTest, RefusesByNameWhatTheLibraryWouldPassOver) {
  ASSERT_TRUE(engine::cuda_library().ok()) << engine::cuda_library().status();
  ASSERT_EQ((*engine::cuda_library())->minor, 0u);
  for (const char* name : {"nomic-moe-a", "longformer-a", "deberta-c"}) {
    const auto described = engine::describe_cuda_backend(*recorded(name), {});
    EXPECT_EQ(described.status().code(), absl::StatusCode::kUnimplemented) << name;
    EXPECT_THAT(std::string(described.status().message()),
                AllOf(HasSubstr("librerank_cuda.so is older than this program"), HasSubstr("experts"),
                      HasSubstr("take the one that came with it")))
        << name;
    EXPECT_EQ(engine::make_cuda_backend(recorded(name), {}).status(), described.status());
  }
  auto list = model::load_model(RERANKD_SOURCE_DIR "/tests/data/listwise/jina-v3-a");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_THAT(std::string(engine::describe_cuda_backend(**list, {}).status().message()),
              AllOf(HasSubstr("librerank_cuda.so is older than this program"), HasSubstr("vectors of marked tokens"),
                    HasSubstr("take the one that came with it")));
  const auto plain = engine::describe_cuda_backend(*recorded("bert-a"), {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(*plain, "bf16 on Stub, sm_90, 1 GiB");
}

}  // namespace
}  // namespace rerank
