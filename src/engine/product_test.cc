// Matrix products of the int8 tiers on vector units, at the ends of their ranges.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string_view>

#include "engine/cpu/buffers.h"
#include "engine/cpu/kernels.h"

namespace rerank {
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

TEST(Int8ProductTest, SumsNeverSaturate) {
  for (const cpu::KernelTable* tier : cpu::compiled_kernels()) {
    if (std::string_view(tier->precision) != "int8" || tier->tiles != nullptr || !cpu::why_not(*tier).empty()) continue;
    const cpu::ProductKernels& product = tier->linear;
    const size_t panels = (kOutputs + product.tile_columns - 1) / product.tile_columns;
    for (const Case& c : cases()) {
      cpu::Buffer<std::byte> packed(panels * product.panel_bytes(c.in)), scratch(product.matmul_scratch(c.in));
      product.pack(c.weights.data(), kOutputs, c.in, c.in, packed.data());
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
            << tier->name << ", " << c.name << ", " << c.in << " inputs, output " << o;
      }
    }
  }
}

}  // namespace
}  // namespace rerank
