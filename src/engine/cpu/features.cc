// Which tiers this machine runs, and which of them "auto" picks.
#include <hwy/targets.h>

#include "engine/cpu/buffers.h"
#include "engine/cpu/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace rerank::cpu {
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

bool has_amx_bf16() {  // CPUID.7.0:EDX: bit 22 AMX-BF16, bit 24 AMX-TILE
  const unsigned wanted = (1u << 22) | (1u << 24);
  return (cpuid(7, 0).edx & wanted) == wanted;
}

bool has_avx512_bf16() { return (cpuid(7, 1).eax & (1u << 5)) != 0; }

bool is_amd() {
  const Leaf l = cpuid(0, 0);
  return l.ebx == signature_AMD_ebx && l.ecx == signature_AMD_ecx && l.edx == signature_AMD_edx;
}

// Linux gives a process the 8 KiB of tile state only when it asks (arch_prctl ARCH_REQ_XCOMP_PERM, component 18); once
// asked, it holds for all threads, also those started later.
bool ask_for_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

// A product of small whole numbers, which bf16 and fp32 hold exactly, against plain loops: what a hypervisor or an
// emulator gets wrong about a new unit must not become a wrong score.
bool multiplies_correctly(const KernelTable& table) {
  constexpr size_t kRows = 37, kIn = 70, kOut = 33;
  const size_t panels = (kOut + table.tile_columns - 1) / table.tile_columns;
  Buffer<float> a(kRows * kIn), w(kOut * kIn), c(kRows * panels * table.tile_columns);
  Buffer<std::byte> packed(panels * table.panel_bytes(kIn)), scratch(table.matmul_scratch(kIn));
  for (size_t i = 0; i < a.size(); ++i) a.data()[i] = static_cast<float>(static_cast<int>(i * 7 % 31) - 15);
  for (size_t i = 0; i < w.size(); ++i) w.data()[i] = static_cast<float>(static_cast<int>(i * 5 % 29) - 14);
  table.pack(w.data(), kOut, kIn, kIn, packed.data());
  const PackedMatrix matrix = {packed.data(), nullptr, kOut, kIn};
  MatMulArgs args;
  args.a = a.data();
  args.a_stride = kIn;
  args.rows = kRows;
  args.weights = &matrix;
  args.last_panel = panels;
  args.c = c.data();
  args.c_stride = panels * table.tile_columns;
  args.scratch = scratch.data();
  table.matmul(args);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t n = 0; n < kOut; ++n) {
      float sum = 0;
      for (size_t k = 0; k < kIn; ++k) sum += a.data()[r * kIn + k] * w.data()[n * kIn + k];
      if (c.data()[r * args.c_stride + n] != sum) return false;
    }
  }
  return true;
}

}  // namespace

std::string_view why_not(const KernelTable& table) {
  const std::string_view name = table.name;
  if (name == "portable") return {};
  const int64_t supported = hwy::SupportedTargets();
#if defined(__x86_64__)
  if (name == "avx2" || name.ends_with("-emulated")) return supported & HWY_AVX2 ? "" : "this CPU has no AVX2";
  if ((supported & HWY_AVX3) == 0) return "this CPU has no AVX-512";
  if (name == "avx512bf16") return has_avx512_bf16() ? "" : "this CPU has no AVX512_BF16";
  if (name == "amx") {
    if (!has_amx_bf16()) return "this CPU has no AMX-BF16";
    static const bool kGranted = ask_for_tiles();
    if (!kGranted) return "the operating system does not grant the AMX tile state";
    static const bool kCorrect = multiplies_correctly(table);
    return kCorrect ? "" : "AMX gives wrong products on this machine";
  }
#endif
  (void)supported;
  return {};
}

bool is_automatic(const KernelTable& table) {
  const std::string_view name = table.name;
  if (name.ends_with("-emulated")) return false;
#if defined(__x86_64__)
  // VDPBF16PS is twice as fast as fp32 on AMD (Zen 4 and later), and half as fast on Intel's cores that have it.
  if (name == "avx512bf16") return is_amd();
#endif
  return true;
}

}  // namespace rerank::cpu
