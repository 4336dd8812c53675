// The ONNX engine on exported graphs, whole and broken: what is wrong is refused at start, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "engine/onnx/onnx_backend.h"
#include "support/golden.h"

namespace rerank::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

const std::string kModel = RERANKD_SOURCE_DIR "/tests/data/models/bert-a";
const std::string kGraph = RERANKD_SOURCE_DIR "/tests/data/graphs/bert-a-torchscript.onnx";

std::shared_ptr<const model::Model> model() {
  auto loaded = model::load_model(kModel);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *loaded;
}

BackendOptions with_file(const std::string& file) {
  BackendOptions options;
  options.threads = 1;
  options.onnx_file = file;
  return options;
}

Result<std::unique_ptr<Backend>> open(const std::string& file) { return make_onnx_backend(model(), with_file(file)); }

std::string error_of(const std::string& file) {
  auto backend = open(file);
  return backend.ok() ? "ok" : std::string(message_of(backend.status()));
}

class OnnxEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto backend = open(kGraph);
    if (!backend.ok() && (message_of(backend.status()).find("built without") != std::string_view::npos ||
                          message_of(backend.status()).find("is not there (looked") != std::string_view::npos)) {
      GTEST_SKIP() << backend.status();
    }
    ASSERT_TRUE(backend.ok()) << backend.status();
    ASSERT_TRUE(graph_.ParseFromString(read(kGraph)));
  }

  static std::string read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string written(const std::string& name, const std::string& bytes) {
    const std::string path = ::testing::TempDir() + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  std::string written(const std::string& name) const { return written(name, graph_.SerializeAsString()); }

  onnx::ModelProto graph_;
};

TEST_F(OnnxEngineTest, AFileThatIsNoGraphIsNamed) {
  EXPECT_THAT(error_of("/nowhere/model.onnx"), HasSubstr("/nowhere/model.onnx"));
  EXPECT_THAT(error_of(written("text.onnx", "This is a text.\n")),
              AllOf(HasSubstr("text.onnx"), HasSubstr("not an ONNX")));
  EXPECT_THAT(error_of(written("empty.onnx", "")), HasSubstr("not an ONNX"));
  EXPECT_THAT(error_of(written("lfs.onnx", "version https://git-lfs.github.com/spec/v1\n")), HasSubstr("git lfs pull"));
  const std::string whole = read(kGraph);
  for (size_t bytes : {whole.size() / 3, whole.size() - 100}) {
    EXPECT_NE(error_of(written("cut.onnx", whole.substr(0, bytes))), "ok");
  }
}

TEST_F(OnnxEngineTest, AnOldOpsetIsRefused) {
  graph_.mutable_opset_import(0)->set_version(5);
  EXPECT_THAT(error_of(written("old.onnx")), HasSubstr("opset 5"));
}

TEST_F(OnnxEngineTest, UnknownInputsAndOutputsAreNamed) {
  auto& input = *graph_.mutable_graph()->mutable_input(0);
  const std::string name = input.name();
  input.set_name("pixel_values");
  for (auto& node : *graph_.mutable_graph()->mutable_node()) {
    for (auto& used : *node.mutable_input()) {
      if (used == name) used = "pixel_values";
    }
  }
  EXPECT_THAT(error_of(written("pixels.onnx")), AllOf(HasSubstr("pixel_values"), HasSubstr("input_ids")));
}

TEST_F(OnnxEngineTest, AnEmbeddingModelIsNotACrossEncoder) {
  // What the last linear layer reads becomes the output: [N, hidden].
  const auto& nodes = graph_.graph().node();
  const auto& last = nodes[nodes.size() - 1];
  ASSERT_EQ(last.op_type(), "Gemm");
  auto& output = *graph_.mutable_graph()->mutable_output(0);
  output.set_name(last.input(0));
  output.mutable_type()->mutable_tensor_type()->clear_shape();
  EXPECT_THAT(error_of(written("embedding.onnx")), AllOf(HasSubstr("[2,32]"), HasSubstr("[N,1]")));
}

TEST_F(OnnxEngineTest, WeightsInAFileBesideAreFoundOrMissed) {
  auto& tensor = *std::find_if(graph_.mutable_graph()->mutable_initializer()->begin(),
                               graph_.mutable_graph()->mutable_initializer()->end(),
                               [](const onnx::TensorProto& t) { return t.dims_size() == 2 && t.has_raw_data(); });
  const std::string bytes = tensor.raw_data();
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto set_entries = [&](const std::string& place) {
    tensor.clear_external_data();
    const std::vector<std::pair<std::string, std::string>> entries = {
        {"location", place}, {"offset", "0"}, {"length", std::to_string(bytes.size())}};
    for (const auto& [key, value] : entries) {
      auto& entry = *tensor.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
  };
  set_entries("weights.bin");
  const std::string path = written("beside.onnx");
  fs::remove(::testing::TempDir() + "/weights.bin");
  EXPECT_THAT(error_of(path), AllOf(HasSubstr("weights.bin"), HasSubstr("not there")));
  written("weights.bin", bytes.substr(1));
  EXPECT_NE(error_of(path), "ok");
  written("weights.bin", bytes);
  EXPECT_EQ(error_of(path), "ok");
  set_entries("../weights.bin");
  EXPECT_THAT(error_of(written("outside.onnx")), HasSubstr("outside its folder"));
}

TEST_F(OnnxEngineTest, AProviderThatIsNotThereIsNamedWithThoseThatAre) {
  BackendOptions options = with_file(kGraph);
  const auto error = [&](const std::string& provider) {
    options.onnx_provider = provider;
    auto backend = make_onnx_backend(model(), options);
    return backend.ok() ? "ok" : std::string(message_of(backend.status()));
  };
  EXPECT_THAT(error("warp"), AllOf(HasSubstr("warp"), HasSubstr("it has"), HasSubstr("cpu")));
  EXPECT_THAT(error("cpu:x"), HasSubstr("KEY=VALUE"));
  EXPECT_THAT(error("cpu:a=b"), HasSubstr("no options"));
  EXPECT_EQ(error("cpu"), "ok");
  EXPECT_EQ(error("CPUExecutionProvider"), "ok");
}

TEST_F(OnnxEngineTest, WhatAGraphCannotDoIsRefused) {
  BackendOptions options = with_file(kGraph);
  options.precision = Precision::kInt8;
  EXPECT_THAT(std::string(message_of(make_onnx_backend(model(), options).status())), HasSubstr("is fp32"));
  auto backend = open(kGraph);
  ASSERT_TRUE(backend.ok());
  OwnedBatch batch;
  batch.add(std::vector<int32_t>{2, 7, 3});
  std::vector<float> logits(1);
  EXPECT_TRUE((*backend)->forward(batch, logits).ok());
  batch.layers = {1};
  EXPECT_TRUE(absl::IsUnimplemented((*backend)->forward(batch, logits)));
}

TEST_F(OnnxEngineTest, BlocksSideBySideComputeWhatOneBlockDoes) {
  OwnedBatch batch;
  for (uint32_t pair = 0; pair < 40; ++pair) {
    std::vector<int32_t> ids(3 + pair * 37 % 90);
    for (uint32_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(5 + (i * 11 + pair) % 200);
    batch.add(ids);
  }
  std::vector<float> logits[2] = {std::vector<float>(40), std::vector<float>(40)};
  for (bool split : {false, true}) {
    BackendOptions options = with_file(kGraph);
    options.threads = 3;
    options.onnx_split = split;
    auto backend = make_onnx_backend(model(), options);
    ASSERT_TRUE(backend.ok()) << backend.status();
    ASSERT_TRUE((*backend)->forward(batch, logits[split]).ok());
  }
  for (size_t i = 0; i < 40; ++i) EXPECT_NEAR(logits[0][i], logits[1][i], 1e-5) << i;
}

}  // namespace
}  // namespace rerank::engine
