// Which tiers this machine runs, and which of them "auto" picks.
#include <hwy/targets.h>

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
    return kGranted ? "" : "the operating system does not grant the AMX tile state";
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
