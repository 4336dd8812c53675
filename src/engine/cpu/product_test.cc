// Matrix products of the int8 tiers on vector units, at the ends of their ranges; those on tiles, in every shape that
// their blocks, chunks and epilogues can have.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string_view>

#include "engine/cpu/amx/tiles.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/vector/kernels.h"
#include "engine/cpu/weights/cpu_weights.h"

namespace rerank::engine {
namespace {

struct Case {
  const char* name;
  size_t in;
  std::vector<float> weights;  // one row for each of kOutputs
  std::vector<float> inputs;
};
constexpr size_t kOutputs = 40;

// Signs as unkind to sums of 16 bits as they can be: all alike, or alike where neighbours are added.
std::vector<Case> cases() {
  std::vector<Case> all;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (size_t in : {24, 30, 384, 1536}) {  // 30: a step that is not whole
    const auto make = [&](auto value, size_t n) {
      std::vector<float> values(n);
      for (size_t i = 0; i < n; ++i) values[i] = value(i);
      return values;
    };
    const auto one = [](size_t) { return 1.0f; };
    const auto minus = [](size_t) { return -1.0f; };
    const auto fours = [&](size_t i) { return i % in % 8 / 2 % 2 == 0 ? 2.0f : -0.5f; };
    const auto outlier = [&](size_t i) { return i % in == 7 ? 10.0f : normal(random); };
    const auto spread = [&](size_t) { return normal(random); };
    const size_t n = kOutputs * in;
    all.push_back({"largest", in, make(one, n), make(one, in)});
    all.push_back({"largest, of other signs", in, make(minus, n), make(one, in)});
    all.push_back({"smallest", in, make(one, n), make(minus, in)});
    all.push_back({"alike where added", in, make(fours, n), make(one, in)});
    all.push_back({"an outlier", in, make(outlier, n), make(one, in)});
    all.push_back({"spread", in, make(spread, n), make(spread, in)});
    all.push_back({"nothing", in, make([](size_t) { return 0.0f; }, n), make(spread, in)});
  }
  return all;
}

// Rows that answers of a decoder are made of lie in memory that no file can bring back.
TEST(PackingTest, LeavesWhatIsNoFileAsItIs) {
  const std::vector<float> rows(2 * 8192, 0.5f);
  const model::Linear linear = {{.name = "answers", .shape = {2, 8192}, .bytes = std::as_bytes(std::span(rows))}, {}};
  Team team(1, {});
  cpu::OwnWeights store;
  const cpu::PackedLinear packed(cpu::compiled_kernels().back()->exact, {team, store}, {&linear});
  EXPECT_EQ(rows, std::vector<float>(rows.size(), 0.5f));
}

TEST(Int8ProductTest, SumsNeverSaturate) {
  for (const cpu::KernelTable* tier : cpu::compiled_kernels()) {
    if (tier->precision != Precision::kInt8 || tier->tiles != nullptr || !cpu::unsupported_reason(*tier).empty())
      continue;
    const cpu::ProductKernels& product = tier->linear;
    const size_t panels = (kOutputs + product.tile_columns - 1) / product.tile_columns;
    for (const Case& c : cases()) {
      cpu::Buffer<std::byte> packed(panels * product.panel_bytes(c.in)), scratch(product.matmul_scratch(c.in));
      product.pack({c.weights.data(), kOutputs, c.in, c.in}, packed.data());
      cpu::Buffer<float> result(panels * product.tile_columns);
      const cpu::PackedMatrix matrix = {packed.data(), nullptr, kOutputs, c.in};
      cpu::MatMulArgs args;
      args.a = c.inputs.data(), args.a_stride = c.in, args.rows = 1;
      args.weights = &matrix, args.last_panel = panels;
      args.c = result.data(), args.c_stride = result.size();
      args.scratch = scratch.data();
      product.matmul(args);
      for (size_t o = 0; o < kOutputs; ++o) {
        double exact = 0, size = 0;
        for (size_t i = 0; i < c.in; ++i) {
          const double term = static_cast<double>(c.weights[o * c.in + i]) * c.inputs[i];
          exact += term;
          size += std::abs(term);
        }
        // A unit of weights is a 126th of their largest sum of four at the worst: half of it is 1.6 % of equal ones.
        EXPECT_NEAR(result.data()[o], exact, 0.02 * size)
            << word_of(tier->tier) << ", " << c.name << ", " << c.in << " inputs, output " << o;
      }
    }
  }
}

// A product on tiles of whole numbers, so that sums are exact; the last panel and the last steps of the weights.
struct TileCase {
  size_t row_tiles, panels, steps, first_step;
};

class TileCheck {
 public:
  TileCheck(const cpu::TileKernels& kernels, const TileCase& shape) : kernels_(kernels), shape_(shape) {
    std::mt19937 random(7);
    const size_t columns = shape.panels * cpu::kPanelColumns, inputs = all_steps() * kernels.inputs_per_tile;
    weights_.resize(columns * inputs);
    for (float& w : weights_) w = static_cast<float>(static_cast<int>(random() % 255) - 127);
    for (size_t c = 0; c < columns; ++c) weights_[c * inputs] = 127;  // so that a unit of int8 is 1
    values_.resize(rows() * inputs);
    for (int& v : values_) v = static_cast<int>(random() % 4) - 1;
    pack(inputs);
    bias_.resize(columns);
    for (size_t c = 0; c < columns; ++c) bias_.data()[c] = static_cast<float>(c % 7);
  }

  void run(cpu::TileResult result) {
    cpu::TilePanels panels;
    panels.data = packed_.data();
    panels.bias = bias_.data();
    if (kernels_.int8) panels.scales = scales_.data(), panels.sums = sums_.data();
    panels.panels = shape_.panels, panels.steps = all_steps();
    cpu::TileProduct job;
    job.a = a_.data() + shape_.first_step * cpu::kTileBytes, job.a_stride = all_steps() * cpu::kTileBytes;
    job.a_ranges = ranges_.data();
    job.row_tiles = shape_.row_tiles, job.weights = &panels;
    job.first_panel = shape_.panels > 1 ? 1 : 0, job.last_panel = shape_.panels;
    job.first_step = shape_.first_step, job.steps = shape_.steps;
    job.result = result, job.activation = model::Activation::kRelu;
    job.factor = 0.5f;
    const bool by_rows = result == cpu::TileResult::kInner || result == cpu::TileResult::kAdd;
    const size_t bytes = result == cpu::TileResult::kAdd ? 2 * cpu::kTileBytes : cpu::kTileBytes;
    job.out_panel_stride = by_rows ? bytes : shape_.row_tiles * bytes;
    job.out_row_stride = by_rows ? shape_.panels * bytes : bytes;
    cpu::Buffer<std::byte> out(shape_.row_tiles * shape_.panels * bytes), scratch(cpu::kProductScratch);
    std::memset(out.data(), 0, out.size());
    job.out = out.data() + job.first_panel * job.out_panel_stride, job.scratch = scratch.data();
    kernels_.product(job);
    for (size_t r = 0; r < rows(); ++r) {
      for (size_t c = job.first_panel * cpu::kPanelColumns; c < shape_.panels * cpu::kPanelColumns; ++c) {
        const float wanted = expected(result, r, c);
        ASSERT_NEAR(read(result, job, r, c), wanted, result == cpu::TileResult::kAdd ? 0 : std::abs(wanted) / 256)
            << "row " << r << ", column " << c << ", result " << static_cast<int>(result);
      }
    }
  }

 private:
  size_t rows() const { return shape_.row_tiles * cpu::kRowTile; }
  size_t all_steps() const { return shape_.first_step + shape_.steps; }

  void pack(size_t inputs) {
    const size_t chunks = (all_steps() + cpu::kChunkSteps - 1) / cpu::kChunkSteps;
    packed_.resize(shape_.panels * all_steps() * cpu::kStepBytes);
    scales_.resize(shape_.panels * cpu::kPanelColumns);
    sums_.resize(shape_.panels * chunks * cpu::kPanelColumns);
    for (size_t p = 0; p < shape_.panels; ++p) {
      kernels_.pack(&weights_[p * cpu::kPanelColumns * inputs], inputs,
                    packed_.data() + p * all_steps() * cpu::kStepBytes, scales_.data() + p * cpu::kPanelColumns,
                    sums_.data() + p * chunks * cpu::kPanelColumns);
    }
    a_.resize(shape_.row_tiles * all_steps() * cpu::kTileBytes);
    ranges_.assign(rows(), {1, -1});  // a byte of 0 is -1
    for (size_t i = 0; i < values_.size(); ++i) {
      const size_t r = i / inputs, k = i % inputs, width = kernels_.inputs_per_tile;
      std::byte* tile = a_.data() + (r / cpu::kRowTile * all_steps() + k / width) * cpu::kTileBytes;
      std::byte* at = tile + r % cpu::kRowTile * cpu::kTileRow + k % width * (cpu::kTileRow / width);
      const uint16_t bits =
          kernels_.int8 ? static_cast<uint16_t>(values_[i] + 1) : cpu::to_bf16(static_cast<float>(values_[i]));
      std::memcpy(at, &bits, kernels_.int8 ? 1 : 2);
    }
  }

  float expected(cpu::TileResult result, size_t r, size_t c) const {
    const size_t width = kernels_.inputs_per_tile, inputs = all_steps() * width;
    float sum = 0;
    for (size_t k = shape_.first_step * width; k < inputs; ++k) {
      sum += static_cast<float>(values_[r * inputs + k]) * weights_[c * inputs + k];
    }
    if (result == cpu::TileResult::kAdd) return sum;
    sum += bias_.data()[c];
    if (result == cpu::TileResult::kQueries) return sum * 0.5f;
    return result == cpu::TileResult::kInner ? std::max(sum, 0.0f) : sum;
  }

  static float read(cpu::TileResult result, const cpu::TileProduct& job, size_t r, size_t c) {
    const std::byte* panel = job.out + (c / 32 - job.first_panel) * job.out_panel_stride;
    const std::byte* tile = panel + r / 16 * job.out_row_stride;
    switch (result) {
      case cpu::TileResult::kAdd: {
        float value;
        std::memcpy(&value, tile + c % 32 / 16 * cpu::kTileBytes + r % 16 * 64 + c % 16 * 4, 4);
        return value;
      }
      case cpu::TileResult::kKeys:
        return bf16_at(tile + c % 32 / 2 * 64 + r % 16 * 4 + c % 2 * 2);
      case cpu::TileResult::kValues:
        return bf16_at(panel + c % 32 / 16 * (job.out_panel_stride / 2) + r / 2 * 64 + c % 16 * 4 + r % 2 * 2);
      default:
        return bf16_at(tile + r % 16 * 64 + c % 32 * 2);
    }
  }
  static float bf16_at(const std::byte* at) {
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    return cpu::from_bf16(bits);
  }

  const cpu::TileKernels& kernels_;
  const TileCase shape_;
  std::vector<float> weights_;
  std::vector<int> values_;
  cpu::Buffer<std::byte> packed_, a_;
  cpu::Buffer<float> scales_, sums_, bias_;
  std::vector<cpu::RowRange> ranges_;
};

// A weight of 4 bits is within half a unit of what it was, a unit being an eighth of the largest of its group of 32,
// and within one at that magnitude's other sign; rows of the unit matrix read the weights back.
TEST(Int4ProductTest, WeightsAreReadBackWithinAUnit) {
  constexpr size_t kGroup = 32;
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (const cpu::KernelTable* tier : cpu::compiled_kernels()) {
    if (tier->precision != Precision::kInt4 || !cpu::unsupported_reason(*tier).empty()) continue;
    const cpu::ProductKernels& product = tier->linear;
    for (size_t in : {1, 32, 70, 256}) {
      const size_t panels = (kOutputs + product.tile_columns - 1) / product.tile_columns;
      std::vector<float> weights(kOutputs * in);
      for (size_t i = 0; i < weights.size(); ++i) weights[i] = i / in == 3 ? 0 : normal(random);
      cpu::Buffer<std::byte> packed(panels * product.panel_bytes(in)), scratch(product.matmul_scratch(in));
      product.pack({weights.data(), kOutputs, in, in}, packed.data());
      cpu::PaddedMatrix unit, result;
      unit.resize(in, in, product.tile_columns);
      result.resize(in, kOutputs, product.tile_columns);
      for (size_t k = 0; k < in; ++k) unit.row(k)[k] = 1;
      const cpu::PackedMatrix matrix = {packed.data(), nullptr, kOutputs, in};
      cpu::MatMulArgs args;
      args.a = unit.row(0), args.a_stride = unit.stride(), args.rows = in;
      args.weights = &matrix, args.last_panel = panels;
      args.c = result.row(0), args.c_stride = result.stride();
      args.scratch = scratch.data();
      product.matmul(args);
      for (size_t o = 0; o < kOutputs; ++o) {
        for (size_t first = 0; first < in; first += kGroup) {
          const size_t end = std::min(in, first + kGroup);
          float largest = 0;
          for (size_t k = first; k < end; ++k) largest = std::max(largest, std::abs(weights[o * in + k]));
          for (size_t k = first; k < end; ++k) {
            const float exact = weights[o * in + k], unit_error = std::abs(exact) > 0.9f * largest ? 1.0f : 0.5f;
            ASSERT_NEAR(result.row(k)[o], exact, (unit_error + 0.1f) * largest / 8)
                << word_of(tier->tier) << " in " << in << " output " << o << " input " << k;
          }
        }
      }
    }
  }
}

TEST(TileProductTest, EveryShapeAndResultEqualsExactSums) {
  for (const cpu::KernelTable* tier : cpu::compiled_kernels()) {
    if (tier->tiles == nullptr || !cpu::unsupported_reason(*tier).empty()) continue;
    for (const TileCase& shape : std::vector<TileCase>{{2, 1, 1, 0},
                                                       {2, 3, 1, 0},
                                                       {6, 2, 1, 0},
                                                       {2, 3, 2, 0},
                                                       {6, 3, 6, 0},
                                                       {4, 2, 16, 0},
                                                       {2, 3, 17, 0},
                                                       {6, 3, 17, 0},
                                                       {4, 3, 33, 0},
                                                       {6, 2, 18, 16},
                                                       {32, 2, 3, 0}}) {
      TileCheck check(*tier->tiles, shape);
      for (auto result : {cpu::TileResult::kQueries, cpu::TileResult::kKeys, cpu::TileResult::kValues,
                          cpu::TileResult::kInner, cpu::TileResult::kAdd}) {
        check.run(result);
        ASSERT_FALSE(testing::Test::HasFatalFailure())
            << word_of(tier->tier) << " " << word_of(tier->precision) << ": " << shape.row_tiles << " row tiles, "
            << shape.panels << " panels, " << shape.steps << " steps from " << shape.first_step;
      }
    }
  }
}

}  // namespace
}  // namespace rerank::engine
