// Converted models compute what the original does, serve as they are, and are fused by ONNX Runtime.
#include "base/status_macros.h"
#include "convert/writers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "base/strings.h"
#include "convert/quantize.h"
#include "convert/verify.h"
#include "engine/registry.h"
#include "support/tiny_model.h"
#include "support/tolerances.h"

namespace rerank::convert {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::TinyModelSpec;
using testing::tolerance;

class ConvertTest : public ::testing::Test {
 protected:
  void make(const TinyModelSpec& spec) {
    auto loaded = model::load_model(testing::write_tiny_model(spec, "convert_test_source"));
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    model_ = *loaded;
    fs::remove_all(out_);
  }

  // What `engine` computes from the written folder, held against the reference on the original.
  Result<Verification> verify(EngineKind engine, size_t layers = 0) {
    RETURN_IF_ERROR(copy_companions(*model_, out_, options_));
    auto written = model::load_model(out_);
    if (!written.ok()) return written.status();
    auto backend = engine::open_backend(*written, engine, {});
    if (!backend.ok()) return backend.status();
    return verify_converted(model_, layers, **backend, {});
  }

  static bool without_onnx(const Status& status) {
    const std::string_view message = message_of(status);
    return message.find("built without") != std::string_view::npos ||
           message.find("ONNX Runtime is not there") != std::string_view::npos;
  }

  onnx::ModelProto written_graph() const {
    onnx::ModelProto graph;
    std::ifstream in(out_ + "/model.onnx", std::ios::binary);
    EXPECT_TRUE(graph.ParseFromIstream(&in));
    return graph;
  }

  std::shared_ptr<const model::Model> model_;
  const std::string out_ = ::testing::TempDir() + "/convert_test_out";
  ConvertOptions options_;
};

const TinyModelSpec kSpecs[] = {
    {},
    {.architecture = "XLMRobertaForSequenceClassification", .layers = 3, .heads = 2, .segments = 1, .labels = 2},
    {.architecture = "RobertaForSequenceClassification", .segments = 2, .activation = "gelu_new"},
    {.architecture = "DistilBertForSequenceClassification", .activation = "relu"},
    {.architecture = "ElectraForSequenceClassification", .embedding = 24, .activation = "silu"},
};

TEST_F(ConvertTest, GraphsOfEveryFamilyEqualTheReference) {
  for (const TinyModelSpec& spec : kSpecs) {
    make(spec);
    for (const Precision precision : {Precision::kFp32, Precision::kFp16, Precision::kInt8}) {
      options_.precision = precision;
      ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
      const auto found = verify(EngineKind::kOnnx);
      if (!found.ok() && without_onnx(found.status())) GTEST_SKIP() << found.status();
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_LT(found->largest, tolerance(EngineKind::kOnnx, precision).generated)
          << spec.architecture << " " << word_of(precision);
      EXPECT_GT(found->spread, 10 * found->mean) << spec.architecture << " " << word_of(precision);
    }
  }
}

// What a decoder's folder says of its prompt and of the tokens that are its score goes along.
TEST_F(ConvertTest, ADecodersFolderKeepsItsMeaning) {
  const std::string source = ::testing::TempDir() + "/convert_test_decoder";
  fs::remove_all(source);
  fs::copy(RERANKD_SOURCE_DIR "/tests/data/decoders/qwen3-a", source, fs::copy_options::recursive);
  fs::create_directory(source + "/1_LogitScore");
  std::ofstream(source + "/modules.json") << R"([{"type": "x.LogitScore", "path": "1_LogitScore"}])";
  std::ofstream(source + "/1_LogitScore/config.json") << R"({"true_token_id": 7, "false_token_id": null})";
  std::ofstream(source + "/chat_template.jinja") << "a template";
  model_ = *model::load_model(source);
  for (const EngineKind engine : {EngineKind::kReference, EngineKind::kOnnx}) {
    fs::remove_all(out_);
    const bool graph = engine == EngineKind::kOnnx;
    ASSERT_TRUE((graph ? write_onnx(*model_, out_, options_) : write_safetensors(*model_, out_, options_)).ok());
    const auto found = verify(engine);
    EXPECT_TRUE(fs::exists(out_ + "/chat_template.jinja"));
    if (!found.ok() && without_onnx(found.status())) continue;
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_LT(found->largest, tolerance(engine, Precision::kFp32).generated) << word_of(engine);
  }
}

TEST_F(ConvertTest, TheFirstLayersCanBeKept) {
  make({.layers = 4});
  options_.keep_layers = 2;
  for (EngineKind engine : {EngineKind::kReference, EngineKind::kOnnx}) {
    fs::remove_all(out_);
    const bool graph = engine == EngineKind::kOnnx;
    ASSERT_TRUE((graph ? write_onnx(*model_, out_, options_) : write_safetensors(*model_, out_, options_)).ok());
    const auto found = verify(engine, 2);
    if (!found.ok() && without_onnx(found.status())) continue;
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_LT(found->largest, tolerance(engine, Precision::kFp32).generated) << word_of(engine);
    EXPECT_EQ(model::load_model(out_).value()->config.architecture.layers(), 2u);
  }
  options_.keep_layers = 5;
  EXPECT_THAT(std::string(message_of(write_onnx(*model_, out_, options_))), HasSubstr("this model has 4"));
  EXPECT_THAT(std::string(message_of(write_safetensors(*model_, out_, options_))), HasSubstr("this model has 4"));
}

TEST_F(ConvertTest, LargeModelsKeepTheirWeightsBesideTheGraph) {
  make({});
  options_.inline_bytes = 0;
  ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
  EXPECT_GT(fs::file_size(out_ + "/model.onnx_data"), 4096u);
  const onnx::ModelProto graph = written_graph();
  for (const auto& tensor : graph.graph().initializer()) EXPECT_LT(tensor.raw_data().size(), 1024u);
  auto found = verify(EngineKind::kOnnx);
  if (!found.ok() && without_onnx(found.status())) GTEST_SKIP() << found.status();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_LT(found->largest, tolerance(EngineKind::kOnnx, Precision::kFp32).generated);
  // Written anew without: no file is left that nobody reads.
  options_.inline_bytes = 1u << 30;
  ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
  EXPECT_FALSE(fs::exists(out_ + "/model.onnx_data"));
}

TEST_F(ConvertTest, MatricesCanBeKeptFromQuantization) {
  make({});
  options_.precision = Precision::kInt8;
  const auto products = [&](const char* type) {
    size_t n = 0;
    const onnx::ModelProto graph = written_graph();
    for (const auto& node : graph.graph().node()) n += node.op_type() == type;
    return n;
  };
  ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
  EXPECT_EQ(products("MatMulInteger"), 12u);
  EXPECT_EQ(products("QuantizeLinear"), 8u) << "queries, keys and values share one";
  options_.exclude = {"layer.0.", "output.dense"};
  ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
  EXPECT_EQ(products("MatMulInteger"), 4u);
  options_.exclude = {};
  options_.reduce_range = true;
  ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
  const onnx::ModelProto graph = written_graph();
  for (const auto& tensor : graph.graph().initializer()) {
    if (tensor.data_type() != onnx::TensorProto::INT8) continue;
    for (char value : tensor.raw_data()) EXPECT_LE(std::abs(static_cast<int>(static_cast<int8_t>(value))), 63);
  }
}

// As every engine promises: a score is its own pair's, whatever else is in the batch.
TEST_F(ConvertTest, QuantizedForEachTokenAScoreDependsOnItsPairAlone) {
  make({});
  options_.precision = Precision::kInt8;
  engine::OwnedBatch batch;
  for (int pair = 0; pair < 8; ++pair) {
    std::vector<int32_t> ids(12);
    for (int i = 0; i < 12; ++i) ids[i] = (i * 31 + pair * pair * 7) % 100;
    batch.add(ids);
  }
  double apart[2] = {0, 0};
  for (bool per_token : {false, true}) {
    options_.scale_per_token = per_token;
    ASSERT_TRUE(write_onnx(*model_, out_, options_).ok());
    engine::BackendOptions engine;
    engine.threads = 1;
    engine.onnx_file = out_ + "/" + kOnnxFile;
    auto backend = engine::open_backend(model_, EngineKind::kOnnx, engine);
    if (!backend.ok() && without_onnx(backend.status())) GTEST_SKIP() << backend.status();
    ASSERT_TRUE(backend.ok()) << backend.status();
    std::vector<float> together(8), alone(1);
    ASSERT_TRUE((*backend)->forward(batch, together).ok());
    for (size_t pair = 0; pair < 8; ++pair) {
      engine::OwnedBatch one;
      one.add(batch, pair);
      ASSERT_TRUE((*backend)->forward(one, alone).ok());
      apart[per_token] = std::max(apart[per_token], std::abs(static_cast<double>(alone[0]) - together[pair]));
    }
  }
  EXPECT_LT(apart[true], 1e-5);
  EXPECT_GT(apart[false], 1e-4) << "what --activations batch gives away";
}

TEST_F(ConvertTest, WeightsInOtherPrecisionsServe) {
  make({.architecture = "ElectraForSequenceClassification", .embedding = 24});
  for (const auto& [precision, dtype, rounding] : {std::tuple{Precision::kFp32, model::DType::kF32, 1e-6},
                                                   {Precision::kFp16, model::DType::kF16, 5e-3},
                                                   {Precision::kBf16, model::DType::kBF16, 5e-2}}) {
    options_.precision = precision;
    ASSERT_TRUE(write_safetensors(*model_, out_, options_).ok());
    const auto found = verify(EngineKind::kReference);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_LT(found->largest, rounding) << word_of(precision);
    EXPECT_EQ(model::load_model(out_).value()->weights.words.dtype, dtype);
  }
}

// Weights of 4 bits: what the file has is what the engine multiplies, so that it scores as the original does in int4.
TEST_F(ConvertTest, WeightsOfFourBitsServeAsTheyAre) {
  make({.layers = 2, .hidden = 64, .heads = 2, .intermediate = 80, .labels = 1});
  options_.precision = Precision::kInt4;
  options_.quantization_in_config = true;
  options_.exclude = {"attention.self.key"};
  ASSERT_TRUE(write_safetensors(*model_, out_, options_).ok());
  ASSERT_TRUE(copy_companions(*model_, out_, options_).ok());
  const auto written = model::load_model(out_);
  ASSERT_TRUE(written.ok()) << written.status();
  const model::Weights& weights = (*written)->weights;
  EXPECT_TRUE(weights.int4);
  EXPECT_EQ(weights.layers[0].up.weight.dtype, model::DType::kI4);
  EXPECT_EQ(weights.layers[0].down.weight.dtype, model::DType::kF32);  // 80 inputs are no whole groups
  EXPECT_EQ(weights.layers[0].key.weight.dtype, model::DType::kF32);
  const auto exact = model_->weights.layers[0].up.weight.floats(), rounded = weights.layers[0].up.weight.floats();
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 0.1) << i;
  const std::string config = *read_file(out_ + "/config.json", 1u << 20);
  for (const char* part : {"pack-quantized", "bert.encoder.layer.0.output.dense", "attention.self.key", "classifier"})
    EXPECT_NE(config.find(part), std::string::npos) << part;
  engine::Batch batch;
  const auto logits = [&](const std::shared_ptr<const model::Model>& model, Precision precision) {
    auto backend = engine::open_backend(model, EngineKind::kCpu, {.precision = precision, .threads = 1});
    EXPECT_TRUE(backend.ok()) << backend.status();
    EXPECT_EQ((*backend)->info().precision_text(), "int4");
    const std::vector<int32_t> ids = {5, 9, 17, 33, 2, 71}, segments(ids.size());
    const std::vector<uint32_t> offsets = {0, 4, 6};
    std::vector<float> found(2);
    EXPECT_TRUE((*backend)->forward({ids, segments, offsets}, found).ok());
    return found;
  };
  EXPECT_EQ(logits(*written, Precision::kAuto), logits(model_, Precision::kInt4));
}

// Some matrices int8, some as they were: read back, and computed by every tier as they are.
TEST_F(ConvertTest, QuantizedWeightsServeWithWhatWasKept) {
  make({.layers = 3, .hidden = 64, .heads = 2, .intermediate = 128, .labels = 2});
  options_.precision = Precision::kInt8;
  options_.quantization_in_config = true;
  options_.exclude = {"layer.1.", "layer.2.attention.self.key"};
  ASSERT_TRUE(write_safetensors(*model_, out_, options_).ok());
  ASSERT_TRUE(copy_companions(*model_, out_, options_).ok());
  auto written = model::load_model(out_);
  ASSERT_TRUE(written.ok()) << written.status();
  const model::Weights& weights = (*written)->weights;
  EXPECT_TRUE(weights.quantized);
  EXPECT_EQ(weights.layers[0].up.weight.dtype, model::DType::kI8);
  EXPECT_EQ(weights.layers[1].up.weight.dtype, model::DType::kF32);
  EXPECT_EQ(weights.layers[1].up.weight.floats(), model_->weights.layers[1].up.weight.floats());
  const auto exact = model_->weights.layers[0].up.weight.floats(), rounded = weights.layers[0].up.weight.floats();
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(rounded[i], exact[i], 0.02);
  // What the file says is the whole difference from the reference on the original, but for the activations.
  std::map<KernelTier, double> largest;
  for (const KernelTier kernel : {KernelTier::kAvx512Vnni, KernelTier::kAvx2, KernelTier::kPortable,
                                  KernelTier::kEmulatedAmx, KernelTier::kAuto}) {
    auto backend = engine::open_backend(*written, EngineKind::kCpu, {.kernel = kernel, .threads = 1});
    if (absl::IsUnimplemented(backend.status())) continue;
    ASSERT_TRUE(backend.ok()) << backend.status();
    EXPECT_EQ((*backend)->info().precision_text(), "int8");
    const auto found = verify_converted(model_, 0, **backend, {});
    ASSERT_TRUE(found.ok());
    // avx2 rounds what the file has once more, to units of its own.
    EXPECT_LT(found->largest, testing::generated_tolerance_of_tier(kernel, Precision::kInt8)) << word_of(kernel);
    largest[kernel] = found->largest;
  }
  EXPECT_FALSE(largest.empty());
  // A matrix of whole numbers means nothing without what they are worth.
  std::ifstream in(out_ + "/model.safetensors", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  bytes.replace(bytes.find("weight_scale"), 12, "weight_sclae");
  std::ofstream(out_ + "/model.safetensors", std::ios::binary) << bytes;
  EXPECT_THAT(std::string(message_of(model::load_model(out_).status())), HasSubstr("weight_scale is missing"));
}

TEST_F(ConvertTest, CalibrationKeepsTheMatrixThatLosesMostAndWhatOnlyFirstRowsGoThrough) {
  // One input of one matrix is read a thousand times more than the others: its rows have no room for the rest.
  TinyModelSpec spec{.layers = 2, .hidden = 64, .heads = 2, .intermediate = 128};
  const std::string folder = testing::write_tiny_model(spec, "convert_test_outlier");
  auto tensors = testing::make_tensors(spec);
  for (auto& tensor : tensors) {
    if (tensor.name != "bert.encoder.layer.0.output.dense.weight") continue;
    for (size_t row = 0; row < 64; ++row) tensor.values[row * 128 + 5] *= 300;
  }
  testing::write_safetensors(folder + "/model.safetensors", tensors, model::DType::kF32);
  auto loaded = model::load_model(folder);
  ASSERT_TRUE(loaded.ok());
  engine::OwnedBatch batch;
  for (int pair = 0; pair < 6; ++pair) {
    std::vector<int32_t> ids(10 + pair);
    for (int i = 0; i < 10 + pair; ++i) ids[i] = (i * 7 + pair * 13) % 100;
    batch.add(ids);
  }
  CalibrationOptions options;
  options.excluded = [](const std::string& name) {
    return name.find("layer.0.attention.self.query") != std::string::npos;
  };
  const auto report = calibrate_int8(*loaded, batch, options);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->matrices.size(), 12u);
  for (const MatrixError& matrix : report->matrices) {
    const auto is = [&](const char* part) { return matrix.name.find(part) != std::string::npos; };
    const bool expected = is("layer.0.output.dense") || is("layer.0.attention.self.query") ||
                          (is("layer.1") && !is("self.key") && !is("self.value"));
    EXPECT_EQ(matrix.kept, expected) << matrix.name << " " << matrix.error;
  }
  EXPECT_LT(report->chosen.mean, report->all.mean);
  EXPECT_THAT(report_json(*report), HasSubstr("\"relative_error\""));
}

TEST_F(ConvertTest, WhatCannotBeIsRefused) {
  make({});
  options_.precision = Precision::kFp8;
  EXPECT_THAT(std::string(message_of(write_onnx(*model_, out_, options_))), HasSubstr("fp32, fp16 or int8"));
  EXPECT_THAT(std::string(message_of(write_safetensors(*model_, out_, options_))), HasSubstr("fp8"));
  options_.precision = Precision::kFp32;
  EXPECT_THAT(std::string(message_of(write_safetensors(*model_, model_->folder, options_))), HasSubstr("own folder"));
  EXPECT_THAT(std::string(message_of(write_onnx(*model_, "/proc/nowhere", options_))), HasSubstr("/proc/nowhere"));
  EXPECT_THAT(std::string(message_of(write_safetensors(*model_, "/proc/nowhere", options_))),
              HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace rerank::convert
