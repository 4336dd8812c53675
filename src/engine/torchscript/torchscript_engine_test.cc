// The TorchScript engine on files that are no cross-encoder's. What needs libtorch is skipped where the plugin is not
// built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/strings.h"
#include "engine/torchscript/torchscript_backend.h"
#include "support/golden.h"

namespace rerank::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kGraphs = RERANKD_SOURCE_DIR "/tests/data/graphs/";

Result<std::unique_ptr<Backend>> open(const std::string& file, Precision precision = Precision::kAuto,
                                      KernelTier kernel = KernelTier::kAuto) {
  auto model = model::load_model(RERANKD_SOURCE_DIR "/tests/data/models/bert-a");
  if (!model.ok()) return model.status();
  BackendOptions options{precision, kernel, 1};
  options.torchscript_file = file;
  return make_torchscript_backend(*model, options);
}

std::string error_of(const Result<std::unique_ptr<Backend>>& backend) {
  return backend.ok() ? "ok" : std::string(message_of(backend.status()));
}

TEST(TorchscriptEngineTest, WhatIsAskedForWronglyIsRefusedBeforeALibraryIsLoaded) {
  const std::string text = ::testing::TempDir() + "/text.pt";
  std::ofstream(text) << "This is a text.\n";
  EXPECT_THAT(error_of(open(text)), AllOf(HasSubstr("text.pt"), HasSubstr("not a TorchScript file")));
  EXPECT_THAT(error_of(open("/nowhere/model.pt")), HasSubstr("--torchscript-file /nowhere/model.pt"));
  EXPECT_THAT(error_of(open("")), HasSubstr("no TorchScript file is in it"));
  const std::string good = kGraphs + "bert-a.torchscript";
  EXPECT_THAT(error_of(open(good, Precision::kBf16)), HasSubstr("there is fp32"));
  EXPECT_THAT(error_of(open(good, Precision::kAuto, KernelTier::kAvx2)), HasSubstr("--kernel"));
}

class LibtorchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto backend = open(kGraphs + "bert-a.torchscript");
    if (absl::IsUnimplemented(backend.status())) GTEST_SKIP() << backend.status();
    ASSERT_TRUE(backend.ok()) << backend.status();
  }
};

TEST_F(LibtorchTest, WhatIsNoCrossEncoderIsNamed) {
  EXPECT_THAT(error_of(open(kGraphs + "other-inputs.torchscript")),
              AllOf(HasSubstr("other-inputs.torchscript"), HasSubstr("pixel_values"), HasSubstr("input_ids")));
  EXPECT_THAT(error_of(open(kGraphs + "embedding.torchscript")),
              AllOf(HasSubstr("[2,32]"), HasSubstr("[N,1], [N] or [N,2]")));
  // A zip file that torch.jit.save did not write, and one that was cut short.
  std::ifstream in(kGraphs + "bert-a.torchscript", std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  const std::string path = ::testing::TempDir() + "/cut.pt";
  for (const std::string& content : {std::string("PK\3\4 and nothing"), whole.substr(0, whole.size() / 2)}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    EXPECT_THAT(error_of(open(path)), AllOf(HasSubstr("cut.pt"), HasSubstr("libtorch cannot serve it")));
  }
}

TEST_F(LibtorchTest, ABatchThatFailsIsItsOwnError) {
  auto backend = open(kGraphs + "moody.torchscript");
  ASSERT_TRUE(backend.ok()) << backend.status();
  std::vector<float> logits(1);
  const auto run = [&](uint32_t length) {
    OwnedBatch batch;
    batch.add(std::vector<int32_t>(length, 7));
    return (*backend)->forward(batch, logits);
  };
  ASSERT_TRUE(run(8).ok());
  EXPECT_EQ(logits[0], 56);
  const Status failed = run(20);
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_THAT(std::string(message_of(failed)), HasSubstr("1 x 20 tokens"));
  EXPECT_TRUE(run(8).ok());
}

}  // namespace
}  // namespace rerank::engine
