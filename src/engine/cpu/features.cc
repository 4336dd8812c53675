// Which tiers this machine runs, and which of them "auto" picks.
#include <hwy/targets.h>

#include "engine/cpu/amx/tile_kernels.h"
#include "engine/cpu/bf16.h"
#include "engine/cpu/buffers.h"
#include "engine/cpu/vector/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace rerank::engine::cpu {
namespace {

#if defined(__x86_64__)
struct Leaf {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Leaf cpuid(unsigned leaf, unsigned subleaf) {
  Leaf l;
  if (__get_cpuid_count(leaf, subleaf, &l.eax, &l.ebx, &l.ecx, &l.edx) == 0) return {};
  return l;
}

bool has_amx() {  // CPUID.7.0:EDX: bit 22 AMX-BF16, bit 24 AMX-TILE, bit 25 AMX-INT8
  const unsigned wanted = (1u << 22) | (1u << 24) | (1u << 25);
  return (cpuid(7, 0).edx & wanted) == wanted;
}

bool has_avx512_bf16() { return (cpuid(7, 1).eax & (1u << 5)) != 0; }

bool has_avx512_vnni() { return (cpuid(7, 0).ecx & (1u << 11)) != 0; }

bool is_amd() {
  const Leaf l = cpuid(0, 0);
  return l.ebx == signature_AMD_ebx && l.ecx == signature_AMD_ecx && l.edx == signature_AMD_edx;
}

// Linux gives a process the 8 KiB of tile state only when it asks (arch_prctl ARCH_REQ_XCOMP_PERM, component 18); once
// asked, it holds for all threads, also those started later.
bool request_tile_permission() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// A product of small whole numbers, which bf16 and int8 hold exactly, against plain loops: what a hypervisor or an
// emulator gets wrong about a new unit must not become a wrong score. Panels of one column pattern, rows of another.
bool multiplies_correctly(const TileKernels& kernels) {
  constexpr size_t kSteps = 3;
  constexpr int kZero = 200;  // of int8 activations: beyond what a sign would leave room for
  const size_t inputs = kSteps * kernels.inputs_per_tile;
  Buffer<float> weights(kPanelColumns * inputs), scales(kPanelColumns), sums(kPanelColumns), c(4 * 256);
  Buffer<RowRange> ranges(2 * kRowTile);
  Buffer<std::byte> panel(kSteps * kStepBytes), a(2 * kSteps * kTileBytes), scratch(kProductScratch);
  auto a_value = [](size_t r, size_t k) { return static_cast<int>((r * 7 + k * 3) % 31) - 15; };
  // Each column's largest is 127, so that its int8 scale is 1.
  auto w_value = [](size_t n, size_t k) { return k == 0 ? 127 : static_cast<int>((n * 5 + k * 11) % 29) - 14; };
  for (size_t n = 0; n < kPanelColumns; ++n) {
    for (size_t k = 0; k < inputs; ++k) weights.data()[n * inputs + k] = static_cast<float>(w_value(n, k));
  }
  kernels.pack(weights.data(), inputs, panel.data(), scales.data(), sums.data());
  for (size_t r = 0; r < 2 * kRowTile; ++r) {
    ranges.data()[r] = {1, -kZero};
    for (size_t k = 0; k < inputs; ++k) {
      const size_t tile = r / kRowTile * kSteps + k / kernels.inputs_per_tile;
      const size_t at = tile * kTileBytes + r % kRowTile * kTileRow;
      if (kernels.int8) {
        a.data()[at + k % 64] = static_cast<std::byte>(a_value(r, k) + kZero);
      } else {
        const uint16_t bits = to_bf16(static_cast<float>(a_value(r, k)));
        std::memcpy(a.data() + at + k % 32 * 2, &bits, 2);
      }
    }
  }
  const TilePanels panels = {
      panel.data(), nullptr, kernels.int8 ? scales.data() : nullptr, kernels.int8 ? sums.data() : nullptr, 1, kSteps};
  TileProduct job;
  job.a = a.data();
  job.a_stride = kSteps * kTileBytes;
  job.a_ranges = ranges.data();
  job.row_tiles = 2;
  job.weights = &panels;
  job.last_panel = 1;
  job.steps = kSteps;
  job.out = reinterpret_cast<std::byte*>(c.data());
  job.out_row_stride = 2 * kTileBytes;
  job.scratch = scratch.data();
  kernels.product(job);
  for (size_t r = 0; r < 2 * kRowTile; ++r) {
    for (size_t n = 0; n < kPanelColumns; ++n) {
      int sum = 0;
      for (size_t k = 0; k < inputs; ++k) sum += a_value(r, k) * w_value(n, k);
      const float found = c.data()[(r / 16 * 2 + n / 16) * 256 + r % 16 * 16 + n % 16];
      if (found != static_cast<float>(sum)) return false;
    }
  }
  return true;
}
#endif

}  // namespace

std::string_view unsupported_reason(const KernelTable& table) {
  const uint32_t needs = traits_of(table.tier).needs;
  const auto lacks = [&](InstructionSet set, bool has) { return (needs & set) != 0 && !has; };
#if defined(__x86_64__)
  const int64_t supported = hwy::SupportedTargets();
  if (lacks(kAvx2, supported & HWY_AVX2)) return "this CPU has no AVX2";
  if (lacks(kAvx512, supported & HWY_AVX3)) return "this CPU has no AVX-512";
  if (lacks(kAmx, has_amx())) return "this CPU has no AMX";
  if (lacks(kAvx512Bf16, has_avx512_bf16())) return "this CPU has no AVX512_BF16";
  if (lacks(kAvx512Vnni, has_avx512_vnni())) return "this CPU has no AVX512_VNNI";
  if ((needs & kAmx) != 0) {
    static const bool kGranted = request_tile_permission();
    if (!kGranted) return "the operating system does not grant the AMX tile state";
    static const bool kCorrect = multiplies_correctly(N_AVX3::kTileBf16) && multiplies_correctly(N_AVX3::kTileInt8);
    if (!kCorrect) return "AMX gives wrong products on this machine";
  }
  return {};
#else
  return lacks(static_cast<InstructionSet>(needs), false) ? "this is no x86-64 CPU" : "";
#endif
}

bool is_automatic(const KernelTable& table) {
  return faster_than_fp32(table) && table.precision != Precision::kInt8 && table.precision != Precision::kInt4;
}

bool faster_than_fp32(const KernelTable& table) {
  const TierUse use = traits_of(table.tier).use;
#if defined(__x86_64__)
  if (use == TierUse::kSpeedOnAmd) return is_amd();
#endif
  return use == TierUse::kSpeed;
}

}  // namespace rerank::engine::cpu
