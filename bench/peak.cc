#include "bench/peak.h"

#include <cstdint>
#include <ctime>
#include <random>
#include <thread>
#include <vector>

#include "engine/cpu/amx/tile_unit.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/vector/kernels.h"

namespace rerank::bench {
namespace {

using engine::cpu::Buffer;

const engine::cpu::KernelTable* find(KernelTier tier) {
  for (const auto* table : engine::cpu::compiled_kernels()) {
    if (table->tier == tier && engine::cpu::unsupported_reason(*table).empty()) return table;
  }
  return nullptr;
}

// body() again and again for 40 ms; it does `operations`.
template <class Body>
double rate_of(double operations, const Body& body) {
  double done = 0, seconds = 0;
  const double begin = thread_seconds();
  while (seconds < 0.04) {
    for (int i = 0; i < 100; ++i) body();
    done += 100 * operations;
    seconds = thread_seconds() - begin;
  }
  return done / seconds;
}

#if defined(__x86_64__)
// 16 products of tiles from 32 KiB, as a panel of weights meets rows that stay near.
template <bool kInt8, int kC, int kA, int kB>
void multiply() {
  if constexpr (kInt8) {
    engine::cpu::HardwareTiles::multiply_u8s8<kC, kA, kB>();
  } else {
    engine::cpu::HardwareTiles::multiply_bf16<kC, kA, kB>();
  }
}

constexpr double kTileLoops = 64;  // products of tile_loop()

template <bool kInt8>
void tile_loop(const std::byte* tiles) {
  using T = engine::cpu::HardwareTiles;
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
  engine::cpu::HardwareTiles::configure();
  const double rate = unit == Unit::kAmxInt8 ? rate_of(kTileLoops * 32768, [&] { tile_loop<true>(tiles.data()); })
                                             : rate_of(kTileLoops * 16384, [&] { tile_loop<false>(tiles.data()); });
  engine::cpu::HardwareTiles::release();
  return rate;
}
#else
double tile_rate(Unit) { return 0; }
#endif

#if defined(__x86_64__)
// Chains of one instruction, ten times over, on two registers of random bits below 2^-60 (which are bytes too). On Zen
// 5 vdpbf16ps needs more than twelve of them to be begun twice a cycle. Registers above 15 are not the compiler's here:
// nothing in this file is compiled for AVX-512.
#define RERANKD_CHAINS(width, registers, loop)                                                                        \
  [](const void* values) {                                                                                            \
    asm volatile("vmovups (%0), %%" width "mm14\nvmovups 64(%0), %%" width                                            \
                 "mm15\n.rept 10\n"                                                                                   \
                 ".irp r," registers "\n" loop "\n.endr\n.endr\nvzeroupper" ::"r"(values)                             \
                 : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
                   "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                                      \
  }

// On vectors of the best tier that has the unit.
double vector_rate(Unit unit) {
#define RERANKD_TWELVE "0,1,2,3,4,5,6,7,8,9,10,11"
#define RERANKD_MORE RERANKD_TWELVE ",16,17,18,19,20,21,22,23,24,25,26,27"
  const bool wide = find(KernelTier::kAvx512) != nullptr;
  if (!wide && find(KernelTier::kAvx2) == nullptr) return 0;
  Buffer<uint32_t> values(32);
  std::mt19937 random(2);
  for (size_t i = 0; i < values.size(); ++i) values.data()[i] = (random() & 0x0fff0fffu) | 0x20002000u;
  const auto rate = [&](double chains, double lanes, auto loop) {
    return rate_of(chains * 10 * 2 * lanes, [&] { loop(values.data()); });
  };
  if (unit == Unit::kFp32) {
    return wide ? rate(24, 16, RERANKD_CHAINS("z", RERANKD_MORE, "vfmadd231ps %%zmm15, %%zmm14, %%zmm\\r"))
                : rate(12, 8, RERANKD_CHAINS("y", RERANKD_TWELVE, "vfmadd231ps %%ymm15, %%ymm14, %%ymm\\r"));
  }
  if (unit == Unit::kVectorBf16) {
    return find(KernelTier::kAvx512Bf16)
               ? rate(24, 32, RERANKD_CHAINS("z", RERANKD_MORE, "vdpbf16ps %%zmm15, %%zmm14, %%zmm\\r"))
               : 0;
  }
  if (find(KernelTier::kAvx512Vnni))
    return rate(24, 64, RERANKD_CHAINS("z", RERANKD_MORE, "vpdpbusd %%zmm15, %%zmm14, %%zmm\\r"));
  return rate(12, 32,
              RERANKD_CHAINS("y", RERANKD_TWELVE,
                             "vpmaddubsw %%ymm15, %%ymm14, %%ymm12\nvpmaddwd %%ymm15, %%ymm12, %%ymm13\n"
                             "vpaddd %%ymm13, %%ymm\\r, %%ymm\\r"));
}
#undef RERANKD_CHAINS
#undef RERANKD_MORE
#undef RERANKD_TWELVE
#else
double vector_rate(Unit) { return 0; }
#endif

}  // namespace

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

Unit unit_of(const engine::cpu::KernelTable& table) {
  const Precision precision = table.precision;
  const bool rows_on_tiles = (engine::cpu::traits_of(table.tier).needs & engine::cpu::kAmx) != 0;
  if (table.tiles != nullptr || rows_on_tiles) return precision == Precision::kInt8 ? Unit::kAmxInt8 : Unit::kAmxBf16;
  return precision == Precision::kInt8   ? Unit::kVectorInt8
         : precision == Precision::kBf16 ? Unit::kVectorBf16
                                         : Unit::kFp32;
}

double measure_peak(Unit unit, size_t threads) {
  const bool tiles = unit == Unit::kAmxBf16 || unit == Unit::kAmxInt8;
  if (tiles && find(KernelTier::kAmx) == nullptr) return 0;
  std::vector<double> rates(threads);
  std::vector<std::thread> team;
  for (size_t i = 0; i < threads; ++i) {
    team.emplace_back([&, i] { rates[i] = tiles ? tile_rate(unit) : vector_rate(unit); });
  }
  for (auto& thread : team) thread.join();
  double total = 0;
  for (double rate : rates) total += rate;
  return total;
}

}  // namespace rerank::bench
