#include "bench/peak.h"

#include <chrono>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include "engine/cpu/buffers.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/tile_unit.h"

namespace rerank::bench {
namespace {

using cpu::Buffer;
using Clock = std::chrono::steady_clock;

const cpu::KernelTable* find(const char* name) {
  for (const auto* table : cpu::compiled_kernels()) {
    if (std::string_view(table->name) == name && cpu::why_not(*table).empty()) return table;
  }
  return nullptr;
}

#if defined(__x86_64__)
// 16 products of tiles from 32 KiB, as a panel of weights meets rows that stay near.
template <bool kInt8, int kC, int kA, int kB>
void multiply() {
  if constexpr (kInt8) {
    cpu::HardwareTiles::multiply_s8<kC, kA, kB>();
  } else {
    cpu::HardwareTiles::multiply_bf16<kC, kA, kB>();
  }
}

template <bool kInt8>
double tile_loop(const std::byte* tiles) {
  using T = cpu::HardwareTiles;
  for (size_t k = 0; k < 16; ++k) {
    const std::byte* p = tiles + k % 8 * 4096;
    T::load<4>(p, 64);
    T::load<6>(p + 1024, 64);
    multiply<kInt8, 0, 4, 6>();
    T::load<7>(p + 2048, 64);
    multiply<kInt8, 1, 4, 7>();
    T::load<5>(p + 3072, 64);
    multiply<kInt8, 2, 5, 6>();
    multiply<kInt8, 3, 5, 7>();
  }
  return 64.0 * (kInt8 ? 2 * 16 * 16 * 64 : 2 * 16 * 16 * 32);
}

double tile_rate(Unit unit) {
  Buffer<std::byte> tiles(32 << 10);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (size_t i = 0; i < tiles.size(); i += 2) {
    const float x = normal(random);
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    tiles.data()[i] = static_cast<std::byte>(bits >> 16);
    tiles.data()[i + 1] = static_cast<std::byte>(bits >> 24);
  }
  cpu::HardwareTiles::configure();
  double operations = 0;
  const auto begin = Clock::now();
  double seconds = 0;
  while (seconds < 0.04) {
    for (int i = 0; i < 100; ++i) {
      operations += unit == Unit::kAmxInt8 ? tile_loop<true>(tiles.data()) : tile_loop<false>(tiles.data());
    }
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  cpu::HardwareTiles::release();
  return operations / seconds;
}
#else
double tile_rate(Unit) { return 0; }
#endif

// The best tier's own fp32 micro-kernel on operands that fit the L1 cache.
double fp32_rate(const cpu::KernelTable& table) {
  const cpu::ProductKernels& product = table.exact;
  const size_t in = 128, rows = product.block_rows, columns = product.tile_columns;
  Buffer<float> weights(columns * in), a(rows * in), c(rows * columns);
  for (size_t i = 0; i < weights.size(); ++i) weights.data()[i] = 0.01f * static_cast<float>(i % 17);
  for (size_t i = 0; i < a.size(); ++i) a.data()[i] = 0.01f * static_cast<float>(i % 13);
  Buffer<std::byte> panel(product.panel_bytes(in)), scratch(product.matmul_scratch(in));
  product.pack(weights.data(), columns, in, in, panel.data());
  const cpu::PackedMatrix matrix = {panel.data(), nullptr, columns, in};
  const cpu::MatMulArgs args = {a.data(), in, rows, &matrix, 0, 1, nullptr, c.data(), columns, scratch.data()};
  double operations = 0, seconds = 0;
  const auto begin = Clock::now();
  while (seconds < 0.04) {
    for (int i = 0; i < 100; ++i) product.matmul(args);
    operations += 100.0 * 2 * static_cast<double>(rows * columns * in);
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return operations / seconds;
}

}  // namespace

double measure_peak(Unit unit, size_t threads) {
  const cpu::KernelTable* tiles = find("amx");
  const cpu::KernelTable* vectors = find("avx512");
  if (vectors == nullptr) vectors = find("avx2");
  if (vectors == nullptr) vectors = find("portable");
  if (unit != Unit::kFp32 && tiles == nullptr) return 0;
  std::vector<double> rates(threads);
  std::vector<std::thread> team;
  for (size_t i = 0; i < threads; ++i) {
    team.emplace_back([&, i] { rates[i] = unit == Unit::kFp32 ? fp32_rate(*vectors) : tile_rate(unit); });
  }
  for (auto& thread : team) thread.join();
  double total = 0;
  for (double rate : rates) total += rate;
  return total;
}

}  // namespace rerank::bench
