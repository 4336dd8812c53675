// FP8 on the emulated engine: its conversions, its arithmetic in plain loops, and what is at the edge of its range.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "emulation/cuda_fp8.h"
#include "engine/reference/reference_backend.h"
#include "support.h"
#include "support/golden.h"

namespace rerank {
namespace {

using ::testing::HasSubstr;
using testing::TinyModelSpec;

uint8_t to_fp8(float x) { return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3); }
float from_fp8(int code) { return emulation::value_of({static_cast<uint8_t>(code)}); }

TEST(Fp8Test, NumbersAreThoseOfTheStandard) {
  EXPECT_EQ(from_fp8(0x00), 0.0f);
  EXPECT_EQ(from_fp8(0x01), 0x1p-9f);
  EXPECT_EQ(from_fp8(0x07), 7 * 0x1p-9f);
  EXPECT_EQ(from_fp8(0x08), 0x1p-6f);
  EXPECT_EQ(from_fp8(0x38), 1.0f);
  EXPECT_EQ(from_fp8(0x7e), 448.0f);
  EXPECT_EQ(from_fp8(0xfe), -448.0f);
  EXPECT_TRUE(std::isnan(from_fp8(0x7f)));
}

TEST(Fp8Test, RoundsToNearestTiesToEvenAndSaturates) {
  for (int code = 0; code < 0x7e; ++code) {
    const float low = from_fp8(code), high = from_fp8(code + 1), middle = (low + high) / 2;
    for (int sign : {0, 0x80}) {
      const float s = sign == 0 ? 1.0f : -1.0f;
      EXPECT_EQ(to_fp8(s * low), sign | code);
      EXPECT_EQ(to_fp8(s * std::nextafter(middle, low)), sign | code);
      EXPECT_EQ(to_fp8(s * middle), sign | (code % 2 == 0 ? code : code + 1));
      EXPECT_EQ(to_fp8(s * std::nextafter(middle, high)), sign | (code + 1));
    }
  }
  for (float x : {448.0f, 449.0f, 480.0f, 1e30f, INFINITY}) {
    EXPECT_EQ(to_fp8(x), 0x7e) << x;
    EXPECT_EQ(to_fp8(-x), 0xfe) << x;
  }
  EXPECT_EQ(to_fp8(NAN) & 0x7f, 0x7f);
}

// Every row as the engine quantizes it, as numbers again.
std::vector<float> quantized(std::span<const float> rows, size_t width) {
  std::vector<float> result(rows.size());
  for (size_t begin = 0; begin < rows.size(); begin += width) {
    float largest = 1e-30f;
    for (size_t i = begin; i < begin + width; ++i) largest = std::max(largest, std::fabs(rows[i]));
    const float scale = largest / 448.0f, inverse = 1.0f / scale;
    for (size_t i = begin; i < begin + width; ++i) result[i] = from_fp8(to_fp8(rows[i] * inverse)) * scale;
  }
  return result;
}

// The reference with the products of its layers in FP8.
std::unique_ptr<engine::Backend> open_plain(std::shared_ptr<const model::Model> model) {
  return engine::make_reference_backend(model, nullptr,
                                        [](const model::Linear& linear, std::span<const float> x, std::span<float> y) {
                                          const size_t in = linear.in(), out = linear.out();
                                          const std::vector<float> w = quantized(linear.weight.floats(), in),
                                                                   a = quantized(x, in), bias = linear.bias_floats();
                                          for (size_t r = 0; r < x.size() / in; ++r) {
                                            for (size_t o = 0; o < out; ++o) {
                                              double sum = bias[o];
                                              for (size_t i = 0; i < in; ++i)
                                                sum += double{w[o * in + i]} * a[r * in + i];
                                              y[r * out + o] = static_cast<float>(sum);
                                            }
                                          }
                                        });
}

engine::OwnedBatch recorded_pairs(const std::string& folder, size_t longest) {
  engine::OwnedBatch batch;
  for (const auto& pair : testing::read_golden_pairs(folder)) {
    if (pair.ids.size() <= longest) batch.add(pair.ids, pair.segments);
  }
  return batch;
}

class CudaFp8Test : public ::testing::Test {
 protected:
  void SetUp() override { emulation::settings() = {}; }
  void TearDown() override { emulation::settings() = {}; }

  static engine::BackendOptions fp8() { return {.precision = Precision::kFp8}; }

  // A model of 64 columns with some of its tensors changed.
  template <class Change>
  static std::shared_ptr<const model::Model> changed(const Change& change) {
    const TinyModelSpec spec{.hidden = 64, .heads = 2, .intermediate = 128, .positions = 128};
    auto tensors = testing::make_tensors(spec);
    for (auto& tensor : tensors) change(tensor.name, tensor.values);
    const std::string folder = testing::write_tiny_model(spec, "cuda_fp8_changed");
    testing::write_safetensors(folder + "/model.safetensors", tensors, model::DType::kF32);
    return load(folder);
  }
};

// A last bit of bf16 can push a number over the border between two of FP8, so that no two ways of computing it agree
// closely; but none may be further from fp32 than another. Every kind of product error would be.
TEST_F(CudaFp8Test, IsNoFurtherFromFp32ThanPlainLoopsAre) {
  double squares = 0, plain_squares = 0;
  for (const std::string& folder : testing::golden_models()) {
    const auto model = load(folder);
    if (has_experts(model->architecture())) continue;
    if (model->config.architecture.blocks[0].attention.head_size % 8 != 0) continue;
    const engine::OwnedBatch batch = recorded_pairs(folder, 130);
    const auto logits = run(*open(model, fp8()), batch.view()), plain = run(*open_plain(model), batch.view());
    const auto exact = run(*engine::make_reference_backend(model), batch.view());
    for (size_t i = 0; i < exact.size(); ++i) {
      squares += std::pow(logits[i] - exact[i], 2);
      plain_squares += std::pow(plain[i] - exact[i], 2);
    }
  }
  EXPECT_GT(plain_squares, 0);
  EXPECT_LT(std::sqrt(squares / plain_squares), 1.2);
}

// Numbers far beyond 448, far below 2^-9, and nothing but zeros, between the products of the feed-forward.
TEST_F(CudaFp8Test, RowsOfAnySizeKeepTheirPrecision) {
  for (const float factor : {1e6f, 1e-6f, 0.0f}) {
    const auto model = changed([&](const std::string& name, std::vector<float>& values) {
      const bool up = name.find("intermediate.dense") != std::string::npos;
      const bool down = name.ends_with("output.dense.weight") && values.size() == 64 * 128;
      if (!up && !down) return;
      for (float& value : values) value *= up ? factor : factor == 0 ? 1.0f : 1.0f / factor;
    });
    const engine::OwnedBatch batch = random_batch(model->config, {1, 40, 17, 100});
    const auto exact = run(*engine::make_reference_backend(model), batch.view());
    EXPECT_THAT(run(*open(model, fp8()), batch.view()), ::testing::Pointwise(::testing::FloatNear(0.15f), exact))
        << factor;
  }
}

TEST_F(CudaFp8Test, ContestsEndInTheScoresOfTheFullDepth) {
  const auto model =
      load(testing::write_tiny_model({.layers = 4, .hidden = 72, .heads = 3, .positions = 128}, "cuda_fp8"));
  model::Exits exits;
  for (int layer = 0; layer < 3; ++layer) {
    model::ExitHead head;
    head.error = 0.02f;
    for (int i = 0; i < 3 * 72; ++i) head.weights.push_back(static_cast<float>(i * 37 % 200) / 400 - 0.25f);
    exits.heads.push_back(head);
  }
  engine::BackendOptions options = fp8();
  options.exits = std::make_shared<const model::Exits>(exits);
  auto backend = open(model, options);
  const engine::OwnedBatch batch = random_batch(model->config, {5, 40, 17, 1, 60, 33, 8, 100});
  const auto full = run(*backend, batch.view());
  std::vector<float> logits(full.size());
  std::vector<uint8_t> depths(full.size());
  ASSERT_TRUE(
      backend->forward_contests(batch.view(), std::vector<engine::Contest>{{0, 8, 3, 1.0f}}, logits, depths).ok());
  EXPECT_GT(std::count(depths.begin(), depths.end(), 0), 2);
  EXPECT_LT(std::count(depths.begin(), depths.end(), 0), 8);
  for (size_t i = 0; i < full.size(); ++i) {
    if (depths[i] != 0) continue;
    EXPECT_EQ(logits[i], full[i]) << i;
  }
}

// On 9.0 cuBLASLt scales rows and outputs of queries, keys and values; elsewhere, and where it refuses, a pass does.
TEST_F(CudaFp8Test, ScalesInTheProductAndBehindItAgree) {
  const auto model = load(testing::write_tiny_model({.hidden = 64, .heads = 2, .positions = 128}, "cuda_fp8_scales"));
  const auto batch = random_batch(model->config, {5, 90, 33, 64, 1, 120});
  std::vector<std::vector<float>> logits;
  for (const auto& [capability, refuses] : {std::pair{90, false}, {90, true}, {89, false}}) {
    emulation::settings() = {.compute_capability = capability};
    emulation::settings().refuses_scales = refuses;
    const auto backend = open(model, fp8());
    logits.push_back(run(*backend, batch.view()));
    EXPECT_EQ(run(*backend, batch.view()), logits.back());
  }
  EXPECT_EQ(logits[1], logits[2]);
  EXPECT_NE(logits[0], logits[1]) << "rounded once instead of twice";
  for (size_t i = 0; i < logits[0].size(); ++i) EXPECT_NEAR(logits[0][i], logits[1][i], 0.1);
}

TEST_F(CudaFp8Test, DevicesWithoutItSaySoAndWhatToTake) {
  const auto model = load(testing::write_tiny_model({.hidden = 64, .heads = 2}, "cuda_fp8"));
  emulation::settings().compute_capability = 86;
  const Status refused = engine::make_cuda_backend(model, fp8()).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(refused.message()), AllOf(HasSubstr("sm_86"), HasSubstr("8.9"), HasSubstr("bf16")));
  EXPECT_EQ(engine::describe_cuda_backend(*model, fp8()).status(), refused);
  EXPECT_TRUE(engine::make_cuda_backend(model, {}).ok());
  emulation::settings().compute_capability = 89;
  EXPECT_EQ(open(model, fp8())->info().precision_text(), "fp8");
  EXPECT_THAT(*engine::describe_cuda_backend(*model, fp8()), HasSubstr("fp8 on Emulated, sm_89"));
}

}  // namespace
}  // namespace rerank
